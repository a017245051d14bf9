//! DNS messages as bytes (RFC 1035): borrowed views and edits in place.
//!
//! This is the road every query travels, so nothing here allocates on the way of a hit, and nothing
//! here panics or loops on any input: every length is checked before it is used, compression
//! pointers may only point backwards, and counts are believed no further than the bytes go.

pub mod name;
