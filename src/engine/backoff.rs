//! The backoff before another attempt. Jitter is computed from the attempt's identity, so that a folded run waits
//! exactly as the original did.

use crate::event::{Failure, ItemId, Millis, StepPath};
use crate::spec::{Backoff, Retry};
use std::time::Duration;

/// The longest pause that an agent can ask for.
const LONGEST: Millis = 60 * 60 * 1000;

/// How long the agent of a failed attempt asks to be left alone.
pub(super) fn asked_pause(failure: &Failure) -> Millis {
    failure.retry_after_ms.unwrap_or(0).min(LONGEST)
}

/// The backoff after attempt `attempt` (from 1) failed; `None` if no attempt is left.
pub(super) fn pause(retry: Option<&Retry>, item: ItemId, step: StepPath, attempt: u32) -> Option<Millis> {
    let retry = retry.filter(|retry| attempt <= retry.retries)?;
    Some(match retry.backoff {
        Backoff::Fixed(pause) => millis(pause),
        Backoff::Exponential { first, most } => {
            let doubled = millis(first).saturating_mul(1u64.checked_shl(attempt - 1).unwrap_or(u64::MAX));
            let pause = doubled.min(millis(most));
            // Between half and all of the backoff: spread, but never immediate.
            let element = step.element.map_or(0, |element| mix(u64::from(element) + 1));
            let own = item.0 ^ (u64::from(step.step.0) << 32) ^ (u64::from(attempt) << 56) ^ element;
            pause / 2 + mix(own) % (pause / 2 + 1)
        }
    })
}

pub(super) fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// splitmix64's finaliser: adjacent numbers become unrelated.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::StepId;

    #[test]
    fn pauses_double_up_to_the_most_and_end_with_the_retries() {
        let backoff =
            Backoff::Exponential { first: Duration::from_millis(200), most: Duration::from_secs(1) };
        let retry = Retry { retries: 100, backoff };
        let at = |attempt| pause(Some(&retry), ItemId(7), StepId(3).into(), attempt);
        for (attempt, most) in [(1, 200), (2, 400), (3, 800), (4, 1000), (100, 1000)] {
            let pause = at(attempt).unwrap();
            assert!(pause >= most / 2 && pause <= most, "attempt {attempt} pauses {pause} ms");
        }
        assert_eq!(at(101), None);
        assert_eq!(pause(None, ItemId(0), StepId(0).into(), 1), None);
        let fixed = Retry { retries: 1, backoff: Backoff::Fixed(Duration::from_secs(2)) };
        assert_eq!(pause(Some(&fixed), ItemId(0), StepId(0).into(), 1), Some(2000));
    }

    #[test]
    fn neighbours_wait_unequally() {
        let retry = Retry { retries: 1, backoff: Backoff::default() };
        let pauses: std::collections::HashSet<_> =
            (0..100).map(|item| pause(Some(&retry), ItemId(item), StepId(0).into(), 1)).collect();
        assert!(pauses.len() > 50, "{} different pauses", pauses.len());
    }
}
