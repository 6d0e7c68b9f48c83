//! Writing files so that what is acknowledged survives a crash; locks with time-outs.
