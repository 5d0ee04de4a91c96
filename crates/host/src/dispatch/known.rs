//! What is known of a version of a component's source, so that it need not be read again: by this
//! process, and by those that follow.

use dayfly_engine::{ArtifactCache, Digest, Stamp};

use crate::Imprint;

/// A version of a source, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) stamp: Stamp,
    pub(super) imprint: Imprint,
}

const STAMP_BYTES: usize = 40;

impl Known {
    /// What an earlier process noted of this version of the source that is made by `recipe`.
    pub(super) fn noted(cache: &ArtifactCache, recipe: &Digest, stamp: Stamp) -> Option<Known> {
        let text = cache.note(&name(recipe))?;
        let (noted, rest) = text.split_first_chunk::<STAMP_BYTES>()?;
        let imprint = Imprint::from_bytes(rest)?;
        (*noted == stamp.to_bytes()).then_some(Known { stamp, imprint })
    }

    /// Notes it for later processes.
    pub(super) fn note(&self, cache: &ArtifactCache, recipe: &Digest) {
        if let Some(imprint) = self.imprint.to_bytes() {
            cache.keep_note(&name(recipe), &[&self.stamp.to_bytes()[..], &imprint].concat());
        }
    }
}

fn name(recipe: &Digest) -> Digest {
    Digest::of(&[b"dayfly 1 note of a source", &recipe.as_bytes()[..]].concat())
}
