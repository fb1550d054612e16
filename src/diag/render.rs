//! Draws diagnostics: for people like a compiler does, and as JSON.
