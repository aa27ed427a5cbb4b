//! Labels of sweeps that stop as soon as these are decided: how often they are wrong, and what their intervals hold.

use crate::population::Population;
use crate::replay::{Replays, covers, most, shifted, wrong};
use std::sync::OnceLock;
use synfilter::filter::FilterKind;
use synfilter::statistics::{Asked, Finding, Over, Rule, Until, Which};

/// 2,000 test sets of made-up outcomes, four looks at each.
fn made_up() -> &'static Replays {
    static REPLAYS: OnceLock<Replays> = OnceLock::new();
    REPLAYS.get_or_init(|| Replays::of(&Population::made_up(20_000, false, 3), 4096, 4, 2000))
}

/// What became of sweeps that stopped by a rule.
#[derive(Debug, Default)]
struct Told {
    /// Stopped sweeps whose label contradicts the truth.
    wrong: usize,
    /// Whose interval at stopping misses the truth.
    missed: usize,
    /// With a look whose interval misses it, had they gone on to the end.
    ever_missed: usize,
    /// Cell-images used, as a share of a full sweep's.
    cost: f64,
    /// Whose label was decided at last.
    decided: usize,
}

/// Stops every sweep by `rule`, which asks for one combined score, were the true score `truth`; at 1.96 in every look if `naive`.
fn stopped(replays: &Replays, which: Which, truth: f64, rule: &Rule, naive: bool) -> Told {
    let rule = Rule { by: Asked::new(&[which], Over::Combined).unwrap(), ..rule.clone() };
    let at = replays.at(None, which);
    let shifts: Vec<f64> = replays.truth.iter().map(|score| truth - score).collect();
    let mut told = Told::default();
    for sweep in &replays.sweeps {
        let looks: Vec<Vec<Finding>> =
            sweep.iter().map(|look| shifted(look, &shifts, &rule, naive.then_some(1.96))).collect();
        let last = looks.len() - 1;
        let stop = looks.iter().position(|look| rule.finished(look, &FilterKind::ALL)).unwrap_or(last);
        let found = &looks[stop][at];
        told.wrong += usize::from(wrong(found.decision, truth, &rule));
        told.missed += usize::from(!covers(found, truth));
        told.ever_missed += usize::from(!looks.iter().all(|look| covers(&look[at], truth)));
        told.decided += usize::from(rule.finished(&looks[stop], &FilterKind::ALL));
        told.cost += 1.0 / (replays.thinnings[stop] * replays.sweeps.len()) as f64;
    }
    told
}

/// The true scores at which mistakes are likeliest: none, a small one, the margin on either side, and clear ones.
const TRUTHS: [f64; 6] = [0.0, 0.01, 0.02, -0.02, 0.05, -0.1];

#[test]
fn wrong_decisions_stay_below_the_level() {
    let (replays, rule) = (made_up(), Rule::default());
    assert_eq!(replays.thinnings, [32, 16, 8, 4]);
    let allowed = most(replays.sweeps.len(), rule.alpha);
    for which in Which::ALL {
        for truth in TRUTHS {
            let told = stopped(replays, which, truth, &rule, false);
            assert!(told.wrong <= allowed, "{which} {truth}: {told:?}, allowed {allowed}");
            assert!(told.missed <= allowed, "{which} {truth}: {told:?}, allowed {allowed}");
            assert!(told.ever_missed <= allowed, "{which} {truth}: {told:?}, allowed {allowed}");
        }
        // Where the answer is clear it comes at the first look.
        let clear = stopped(replays, which, 0.1, &rule, false);
        assert!(clear.decided == replays.sweeps.len() && clear.cost < 0.04, "{which}: {clear:?}");
    }
}

#[test]
fn the_naive_rule_fails_the_same_test() {
    // A score of 0, and a margin that is too narrow to end the looking.
    let (replays, rule) = (made_up(), Rule { margin: 0.002, ..Rule::default() });
    let allowed = most(replays.sweeps.len(), rule.alpha);
    for which in Which::ALL {
        let sequential = stopped(replays, which, 0.0, &rule, false);
        let naive = stopped(replays, which, 0.0, &rule, true);
        assert!(sequential.wrong <= allowed, "{which}: {sequential:?}, allowed {allowed}");
        assert!(naive.ever_missed > allowed, "{which}: {naive:?}, allowed {allowed}");
        assert!(naive.wrong > allowed, "{which}: {naive:?}, allowed {allowed}");
    }
}

#[test]
fn all_labels_together_with_family_wise() {
    // Twelve labels of one layer: any wrong one counts.
    let replays = made_up();
    let rule = Rule { by: "all".parse().unwrap(), family_wise: true, ..Rule::default() };
    let looks = replays.thinnings.len();
    for truth in [0.0, 0.02] {
        let shifts: Vec<f64> = replays.truth.iter().map(|score| truth - score).collect();
        let any_wrong = |sweep: &&Vec<Vec<Finding>>| {
            let mut looks = sweep.iter().enumerate().map(|(at, look)| {
                shifted(look, &shifts, &rule, Some(rule.critical(at + 1, looks, 1, &FilterKind::ALL)))
            });
            looks.any(|look| look.iter().any(|finding| wrong(finding.decision, truth, &rule)))
        };
        let found = replays.sweeps.iter().filter(any_wrong).count();
        let allowed = most(replays.sweeps.len(), rule.alpha);
        assert!(found <= allowed, "truth {truth}: {found} of 2,000, allowed {allowed}");
    }
}

#[test]
fn stopping_at_a_standard_error_needs_no_correction() {
    let replays = made_up();
    let allowed = most(replays.sweeps.len(), 0.05);
    for which in Which::ALL {
        let at = replays.at(None, which);
        // One that is reached at the second look, now and then.
        let mut found: Vec<f64> = replays.sweeps.iter().map(|sweep| sweep[1][at].score.unwrap().1).collect();
        found.sort_by(f64::total_cmp);
        let target = found[found.len() / 2];
        let rule = Rule { until: Until::Se(target), ..Rule::default() };
        let told = stopped(replays, which, 0.0, &rule, true);
        assert!(told.missed <= allowed, "{which} {target}: {told:?}, allowed {allowed}");
        assert!(told.decided > replays.sweeps.len() * 9 / 10 && told.cost < 0.12, "{which}: {told:?}");
    }
}

#[test]
fn real_outcomes_too() {
    // MNIST, six layers of a ShuffleNet; test sets of 2,000 images drawn from 2,000.
    let (count, rule) = (250, Rule::default());
    let allowed = most(count as usize, rule.alpha);
    let (mut naive, mut sequential) = (0, 0);
    for (layer, population) in &Population::real() {
        let replays = Replays::of(population, population.images(), 4, count);
        for which in Which::ALL {
            let own = replays.truth[replays.at(None, which)];
            for truth in [own, 0.0] {
                let told = stopped(&replays, which, truth, &rule, false);
                assert!(told.wrong <= allowed, "{layer}, {which} {truth}: {told:?}, allowed {allowed}");
                assert!(told.missed <= allowed, "{layer}, {which} {truth}: {told:?}, allowed {allowed}");
            }
            sequential += stopped(&replays, which, 0.0, &rule, false).ever_missed;
            naive += stopped(&replays, which, 0.0, &rule, true).ever_missed;
        }
    }
    let allowed = most(6 * 3 * count as usize, rule.alpha);
    assert!(sequential <= allowed && naive > allowed, "{sequential}, naive {naive}, allowed {allowed}");
}
