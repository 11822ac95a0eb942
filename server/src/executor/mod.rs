//! Where workers run. Each knows only a segment's folder.

pub mod local;
