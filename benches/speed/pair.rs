//! Runs ours and its floor in turn, so that a machine that becomes slower becomes so for both.

use serde_json::json;
use std::fmt;

/// One run: its figure, in the case's unit.
pub type Once<'a> = Box<dyn FnMut() -> anyhow::Result<f64> + 'a>;

pub struct Case<'a> {
    pub name: String,
    pub unit: Unit,
    pub floor_name: &'static str,
    pub ours: Once<'a>,
    pub floor: Once<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    ProcessesPerSecond,
    StepsPerSecond,
    BytesPerSecond,
    /// Of memory; the only unit of which less is better.
    Bytes,
}

/// Medians; the ratio is the median of the pairs' own ratios.
pub struct Measured {
    name: String,
    unit: Unit,
    floor_name: &'static str,
    ours: f64,
    floor: f64,
    /// How many times as much as the floor ours takes, of time or of memory.
    ratio: f64,
}

/// Runs each once uncounted, then the pairs.
pub fn measure(case: &mut Case<'_>, repetitions: usize) -> anyhow::Result<Measured> {
    let (mut ours, mut floors, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for counted in 0..=repetitions {
        let (floor, own) = ((case.floor)()?, (case.ours)()?);
        if counted == 0 {
            continue;
        }
        ours.push(own);
        floors.push(floor);
        ratios.push(if case.unit == Unit::Bytes { own / floor } else { floor / own });
    }
    Ok(Measured {
        name: case.name.clone(),
        unit: case.unit,
        floor_name: case.floor_name,
        ours: median(ours),
        floor: median(floors),
        ratio: median(ratios),
    })
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::ProcessesPerSecond => "processes/s",
            Unit::StepsPerSecond => "steps/s",
            Unit::BytesPerSecond => "bytes/s",
            Unit::Bytes => "bytes",
        }
    }

    fn show(self, figure: f64) -> String {
        match self {
            Unit::ProcessesPerSecond => format!("{figure:.0} /s"),
            Unit::StepsPerSecond => format!("{:.0} k/s", figure / 1e3),
            Unit::BytesPerSecond => format!("{:.0} MB/s", figure / 1e6),
            Unit::Bytes => format!("{:.1} MB", figure / 1e6),
        }
    }
}

impl Measured {
    pub fn json(&self) -> serde_json::Value {
        json!({
            "name": self.name,
            "unit": self.unit.name(),
            "ours": self.ours,
            "floor": self.floor,
            "ratio": self.ratio,
            "floor_is": self.floor_name,
        })
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |figure| self.unit.show(figure);
        let (ours, floor) = (show(self.ours), show(self.floor));
        write!(f, "{:<36} {ours:>18} {floor:>18} {:>6.2}x  {}", self.name, self.ratio, self.floor_name)
    }
}
