//! Reading the document that a command works on.
