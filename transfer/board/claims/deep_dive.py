"""List the claims of a guide to data augmentation that no record can decide yet, each with what is missing."""

from transfer.board.claims.judge import Claim

SOURCE = "Data Augmentation — Deep Dive"


def claims() -> tuple[Claim, ...]:
    """Return the claims on calibration and on augmentation at test time."""
    calibration = "no evidence: calibration; no protocol records how far confidence is from accuracy (ECE) under `linear`"
    averaged = "no evidence: several views − one; no protocol evaluates a backbone on several augmented views of a test image"
    return (
        Claim("Models trained with MixUp are better calibrated.", SOURCE, (), (calibration,)),
        Claim("Test-time augmentation raises accuracy by 0.5 to 1.5 points.", SOURCE, (), (averaged,)),
    )
