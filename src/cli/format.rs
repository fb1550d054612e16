//! Formats that several commands have in common.

/// A table, or JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TableFormat {
    /// Aligned columns for people
    #[default]
    Table,
    /// JSON for scripts
    Json,
}

/// Text, or JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TextFormat {
    /// Lines for people
    #[default]
    Text,
    /// JSON for scripts
    Json,
}
