//! Rdata: its structure by type, and its text form. Filled in next.
