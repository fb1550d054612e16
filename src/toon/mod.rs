//! toon
