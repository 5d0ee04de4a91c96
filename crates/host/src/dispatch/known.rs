//! What is known of a version of a component's source, so that it need not be read again: by this
//! process, and by those that follow.

use dayfly_engine::{ArtifactCache, Digest, Flavour, Stamp};
use dayfly_model::HandlerShape;

/// A version of a source, and the component that came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) stamp: Stamp,
    pub(super) digest: Digest,
    pub(super) flavour: Flavour,
    pub(super) shape: HandlerShape,
}

/// In the order in which they are noted.
const SHAPES: [HandlerShape; 9] = [
    HandlerShape::Http02,
    HandlerShape::Http03,
    HandlerShape::SpinHttp,
    HandlerShape::Command02,
    HandlerShape::Command03,
    HandlerShape::SpinRedis,
    HandlerShape::SpinRedis3,
    HandlerShape::SpinCron,
    HandlerShape::Messaging,
];

const STAMP_BYTES: usize = 40;

impl Known {
    /// What an earlier process noted of this version of the source that is made by `recipe`.
    pub(super) fn noted(cache: &ArtifactCache, recipe: &Digest, stamp: Stamp) -> Option<Known> {
        let text = cache.note(&name(recipe))?;
        let (noted, rest) = text.split_first_chunk::<STAMP_BYTES>()?;
        let (digest, rest) = rest.split_first_chunk::<32>()?;
        let &[flavour, shape] = rest else { return None };
        (*noted == stamp.to_bytes()).then_some(Known {
            stamp,
            digest: (*digest).into(),
            flavour: *Flavour::ALL.get(usize::from(flavour))?,
            shape: *SHAPES.get(usize::from(shape))?,
        })
    }

    /// Notes it for later processes.
    pub(super) fn note(&self, cache: &ArtifactCache, recipe: &Digest) {
        let shape = SHAPES.iter().position(|shape| *shape == self.shape);
        let numbers = [Some(self.flavour.index()), shape];
        let numbers = numbers.map(|number| number.and_then(|number| u8::try_from(number).ok()));
        if let [Some(flavour), Some(shape)] = numbers {
            let (stamp, digest) = (self.stamp.to_bytes(), self.digest.as_bytes());
            cache.keep_note(&name(recipe), &[&stamp[..], digest, &[flavour, shape]].concat());
        }
    }
}

fn name(recipe: &Digest) -> Digest {
    Digest::of(&[b"dayfly 1 note of a source", &recipe.as_bytes()[..]].concat())
}
