//! What documents mean, and what must hold for every graph.

mod properties;
