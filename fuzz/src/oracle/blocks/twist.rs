//! The ways in which a block can be wrong.

use super::super::random::Random;

/// What may be done to a block to make it wrong, or nearly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    None,
    BadSignature,
    CoinbaseTooMuch,
    SpendTwice,
    SpendMissing,
    SpendImmature,
    CreateMoney,
    WrongCommitment,
    NoCommitment,
    WrongMerkleRoot,
    RepeatLast,
    TimeTooOld,
    TimeAtLimit,
    OldVersion,
    WrongHeight,
    LongCoinbaseScript,
    NotFinal,
    SequenceLocked,
    SequenceJustUnlocked,
    TwoCoinbases,
    NoCoinbase,
    ManySigops,
    SigopsAtLimit,
    WrongTarget,
    NoWork,
    SameTransaction,
    NegativeOutput,
    TimeTooNew,
    ShortCoinbaseScript,
    TwoCommitments,
    LongCommitment,
    OddReservedValue,
    Weight,
    DuplicateInput,
    NullPrevout,
    NoOutputs,
    TotalTooLarge,
    RelativeLocks,
    OtherReservedValue,
    CommitmentElsewhere,
    HeavyWitness,
    WitnessSigops,
    TwoCoinbaseInputs,
}

impl Twist {
    const WRONG: [Self; 42] = [
        Self::BadSignature,
        Self::CoinbaseTooMuch,
        Self::SpendTwice,
        Self::SpendMissing,
        Self::SpendImmature,
        Self::CreateMoney,
        Self::WrongCommitment,
        Self::NoCommitment,
        Self::WrongMerkleRoot,
        Self::RepeatLast,
        Self::TimeTooOld,
        Self::TimeAtLimit,
        Self::OldVersion,
        Self::WrongHeight,
        Self::LongCoinbaseScript,
        Self::NotFinal,
        Self::SequenceLocked,
        Self::SequenceJustUnlocked,
        Self::TwoCoinbases,
        Self::NoCoinbase,
        Self::ManySigops,
        Self::SigopsAtLimit,
        Self::WrongTarget,
        Self::NoWork,
        Self::SameTransaction,
        Self::NegativeOutput,
        Self::TimeTooNew,
        Self::ShortCoinbaseScript,
        Self::TwoCommitments,
        Self::LongCommitment,
        Self::OddReservedValue,
        Self::Weight,
        Self::DuplicateInput,
        Self::NullPrevout,
        Self::NoOutputs,
        Self::TotalTooLarge,
        Self::RelativeLocks,
        Self::OtherReservedValue,
        Self::CommitmentElsewhere,
        Self::HeavyWitness,
        Self::WitnessSigops,
        Self::TwoCoinbaseInputs,
    ];

    /// Usually none.
    pub fn any(random: &mut Random) -> Self {
        if random.below(10) < 6 {
            return Self::None;
        }
        match random.pick(&Self::WRONG) {
            // Megabytes take their time.
            Self::Weight | Self::HeavyWitness if !random.once_in(4) => Self::None,
            twist => twist,
        }
    }
}
