"""How a report is to be read: what its figures mean, their formulae, and the papers they are from."""

NOTES = {
    "mean, sd, worst seed, n": (
        "Of the scores of n seeds, each with its own draw of K training examples a class; sd is the sample standard "
        "deviation, sqrt(sum (x - mean)^2 / (n - 1)). Spread over draws is as large as many a gain (Schick and Schütze"
        " 2021; Zhang et al. 2021)."
    ),
    "collapsed": (
        "The share of seeds whose score is at most two points above the majority class (numbers: a Pearson correlation"
        " of 0)."
    ),
    "95 % interval": (
        "Of the mean, by a hierarchical bootstrap: seeds are drawn with replacement, then test items, the same for all"
        " seeds. Few seeds make such an interval too narrow; it is widened by t / z, Student's quantile with "
        "Satterthwaite's degrees of freedom over the normal one. † marks intervals and differences over test items "
        "alone: with one seed, or K = 0, they say nothing of other draws."
    ),
    "difference and p": (
        "The mean of d = score of the row - score of the baseline, on the same seeds s and test items i. Its variance "
        "is that of a mean of two crossed samples, (MS_seeds + MS_items - MS_rest) / (S N), never less than MS_rest / "
        "(S N) (Cornfield and Tukey 1956); p is that of Student's t with Satterthwaite's degrees of freedom. Scores "
        "that are no mean over items are made one by the jackknife."
    ),
    "p (Holm)": (
        "The k-th smallest of M p-values times M - k + 1, so that one false finding or more in a group is rarer than 1"
        " in 20 (Holm 1979)."
    ),
    "smallest seen": (
        "(t_.975 + t_.80) standard errors: the true difference that one test at .05, uncorrected, finds in 80 of 100 "
        "experiments (Bloom 1995). The table also calls smaller observed gaps ties, so it finds a true difference of "
        "that size about half the time."
    ),
    "≈, a tie": (
        "The corrected p is .05 or more, or the difference is less than the smallest seen, or both have one seed alone "
        "in common: whatever its p, a difference on one draw of examples says nothing of other draws. A tie does not "
        "say that two paradigms are equal, but that these runs cannot tell them apart."
    ),
    "bold": (
        "Better, and no tie, than every other row that was told the same, its p-values corrected in the same way; "
        "so nobody is bold who shares one seed alone with another."
    ),
    "labels + …": (
        "Rows stand together with those that were told the same kinds of things: labels to train on and to choose by, "
        "texts without labels, labels of other tasks, demonstrations (CLUES: Mukherjee et al. 2021). How many is in "
        "the column labels used. The oracle was chosen on the test and is never ranked (Perez, Kiela and Cho 2021)."
    ),
    "cost": (
        "Parameters, bytes and memory are the most of any seed; time is the mean of whole runs, on the machines that "
        "the cards name. Runs that read side by side share it evenly, and each has the peak of memory of all."
    ),
    "best at its price": (
        "No other paradigm of the group, whatever it was told, costs no more and scores no less (Pareto front of the "
        "means; whether a small step of it is real, the table says). The oracle is never among them."
    ),
    "ranks": (
        "Of paradigms that were told the same and ran on the same tasks: 1 is the best of a task, equal scores share "
        "their ranks. Friedman's test asks whether all are equal; if its p is below .05, mean ranks further apart than "
        "the critical difference q sqrt(M (M + 1) / (6 T)) differ (Nemenyi; Demsar 2006), and otherwise none do. With "
        "few tasks T hardly anything does."
    ),
    "ECE, Brier": (
        "Expected calibration error: the mean distance of confidence and accuracy over 15 bins, weighted by their "
        "items (Guo et al. 2017); certainty, a probability of 1, is a bin of its own, as in torchmetrics. Brier score: "
        "the mean of the summed squared distances of the probabilities from the truth, 0 to 2 (Brier 1950). Both are "
        "means of the runs."
    ),
    "where the spread comes from": (
        "One varied at a time: the sample variance s^2 of scores when one factor moves and the others stay. Its 95 % "
        "interval goes from df s^2 / chi2_.975 to df s^2 / chi2_.025 (of normal scores; chi-square with df = levels - "
        "1), and is wide: with 5 levels from 0.6 to 2.9 times the standard deviation. All combinations: (MS_factor - "
        "MS_rest) / runs a level, by analysis of variance, without an interval; rest is interplay and chance (Searle "
        "et al. 1992). A share is of the sum of the variances shown, which one at a time need not be the variance of "
        "all scores."
    ),
    "examples": (
        "Missed: no run of any paradigm was right. Disputed: the shares of runs that were right differ most between "
        "paradigms."
    ),
}
