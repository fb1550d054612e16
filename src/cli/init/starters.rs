//! The starters of `orderflow init`: each is a small workflow that runs, with its agents and cases.

/// A starter by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Starter {
    #[default]
    Parcels,
    Orders,
    Release,
    CodeReview,
    DataPipeline,
}

/// The files of a starter, with their paths below the folder.
macro_rules! files {
    ($starter:literal: $($path:literal)*) => {
        &[$(($path, include_str!(concat!("starters/", $starter, "/", $path)))),*]
    };
}

impl Starter {
    pub fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Parcels => {
                files!("parcels": "workflow.md" "workflow.test.toml" "orderflow.toml" "parcels.jsonl"
                "agents/scale.sh" "agents/office.sh" "agents/printer.sh")
            }
            Self::Orders => {
                files!("orders": "workflow.md" "workflow.test.toml" "orderflow.toml" "orders.jsonl"
                "agents/shop.py")
            }
            Self::Release => {
                files!("release": "workflow.md" "workflow.test.toml" "orderflow.toml" "releases.jsonl"
                "agents/release.sh")
            }
            Self::CodeReview => files!("code-review": "workflow.md" "workflow.test.toml" "orderflow.toml"
                "changes/example.diff" "agents/patterns.py"),
            Self::DataPipeline => files!("data-pipeline": "workflow.md" "workflow.test.toml" "orderflow.toml"
                "exports/harbour.csv" "exports/market.csv" "exports/quarry.csv" "agents/pipeline.py"),
        }
    }

    /// What it shows, in a line.
    pub fn shows(self) -> &'static str {
        match self {
            Self::Parcels => "items, conditions and a failure handler, with agents in sh",
            Self::Orders => "a decision, a payment that is refunded, retries and types",
            Self::Release => "parallel checks, a build, and a publication that can be withdrawn",
            Self::CodeReview => "prompts for coding agents, with programs that answer offline",
            Self::DataPipeline => "files as items, a channel, and steps for all items",
        }
    }
}
