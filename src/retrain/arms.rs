//! What each arm trains.

use super::document::{Arm, Labels};
use crate::random::Random;
use crate::score::Label;

/// The random stream that chooses the layers of the random arm.
const CHOICE_STREAM: u64 = 3 << 32;

/// The layers of a network, by what selective retraining does with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arms {
    /// All of them, in network order.
    layers: Vec<String>,
    /// For each, whether selective retraining trains it.
    selected: Vec<bool>,
}

impl Arms {
    /// Fragile layers are frozen. A layer whose score is undefined is not known to be fragile, and is trained.
    pub fn of(labels: &Labels) -> Arms {
        Arms {
            layers: labels.layers.iter().map(|layer| layer.name.clone()).collect(),
            selected: labels.layers.iter().map(|layer| layer.label != Label::Fragile).collect(),
        }
    }

    /// How many layers selective retraining trains, and so the random arm.
    pub fn count(&self) -> usize {
        self.selected.iter().filter(|&&selected| selected).count()
    }

    /// The layers that an arm trains under a seed, in network order.
    ///
    /// The random arm takes the first [`Arms::count`] of the permutation that `Random::new(seed, CHOICE_STREAM)` makes of all
    /// layers.
    pub fn trained(&self, arm: Arm, seed: u64) -> Vec<String> {
        let chosen: Vec<bool> = match arm {
            Arm::Checkpoint => vec![false; self.layers.len()],
            Arm::Full => vec![true; self.layers.len()],
            Arm::Selective => self.selected.clone(),
            Arm::Random => {
                let mut chosen = vec![false; self.layers.len()];
                let order = Random::new(seed, CHOICE_STREAM).permutation(self.layers.len());
                order.into_iter().take(self.count()).for_each(|layer| chosen[layer] = true);
                chosen
            }
        };
        self.layers.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(name, _)| name.clone()).collect()
    }

    /// The layers that an arm freezes under a seed, in network order.
    pub fn frozen(&self, arm: Arm, seed: u64) -> Vec<String> {
        let trained = self.trained(arm, seed);
        self.layers.iter().filter(|layer| !trained.contains(layer)).cloned().collect()
    }

    /// The arm whose networks are an arm's, whatever the seed, where that is another one: without fragile layers all are
    /// trained, without others none.
    pub fn same_as(&self, arm: Arm) -> Option<Arm> {
        match (arm, self.count()) {
            (Arm::Checkpoint | Arm::Full, _) => None,
            (_, 0) => Some(Arm::Checkpoint),
            (_, count) if count == self.layers.len() => Some(Arm::Full),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arms(selected: &[bool]) -> Arms {
        let layers = (0..selected.len()).map(|layer| format!("layer{layer}")).collect();
        Arms { layers, selected: selected.to_vec() }
    }

    #[test]
    fn the_random_arm_trains_as_many_layers_and_others_with_other_seeds() {
        let arms = arms(&[true, false, true, true, false, false, true, true]);
        assert_eq!(arms.trained(Arm::Selective, 0), ["layer0", "layer2", "layer3", "layer6", "layer7"]);
        assert_eq!(arms.frozen(Arm::Selective, 0), ["layer1", "layer4", "layer5"]);
        assert_eq!((arms.trained(Arm::Full, 3).len(), arms.trained(Arm::Checkpoint, 3).len()), (8, 0));
        let random: Vec<Vec<String>> = (0..20).map(|seed| arms.trained(Arm::Random, seed)).collect();
        assert!(random.iter().all(|layers| layers.len() == 5 && layers.is_sorted()));
        assert_eq!(random[3], arms.trained(Arm::Random, 3));
        assert!(random.iter().any(|layers| *layers != random[0]));
        assert!(Arm::ALL.iter().all(|&arm| arms.same_as(arm).is_none()));
    }

    #[test]
    fn where_all_or_no_layers_are_fragile_arms_coincide() {
        let same = |selected: &[bool]| Arm::ALL.map(|arm| arms(selected).same_as(arm));
        assert_eq!(same(&[false; 3]), [None, Some(Arm::Checkpoint), None, Some(Arm::Checkpoint)]);
        assert_eq!(same(&[true; 3]), [None, Some(Arm::Full), None, Some(Arm::Full)]);
        assert_eq!(arms(&[true; 3]).trained(Arm::Random, 9).len(), 3);
    }
}
