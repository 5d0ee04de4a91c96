//! By what a component's code is found that was made before, by this process or another one: few bytes
//! that stand for all that preparing it came to.

use dayfly_engine::{Digest, Flavour};
use dayfly_model::HandlerShape;

/// What preparing a component came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imprint {
    /// The digest of what it was made to.
    pub digest: Digest,
    /// Which engine runs it.
    pub flavour: Flavour,
    /// How it takes an event.
    pub shape: HandlerShape,
}

/// In the order in which they are written down.
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

impl Imprint {
    /// It as bytes; `None` of a shape that has no number.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let shape = SHAPES.iter().position(|shape| *shape == self.shape)?;
        let (flavour, shape) = (self.flavour.index().try_into().ok()?, shape.try_into().ok()?);
        Some([self.digest.as_bytes(), &[flavour, shape][..]].concat())
    }

    /// What [`Self::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (digest, rest) = bytes.split_first_chunk::<32>()?;
        let &[flavour, shape] = rest else { return None };
        Some(Self {
            digest: (*digest).into(),
            flavour: *Flavour::ALL.get(usize::from(flavour))?,
            shape: *SHAPES.get(usize::from(shape))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_imprint_reads_back_and_nothing_else_does() {
        for (shape, flavour) in SHAPES.into_iter().zip(Flavour::ALL.into_iter().cycle()) {
            let imprint = Imprint { digest: Digest::of(b"component"), flavour, shape };
            let bytes = imprint.to_bytes().unwrap();
            assert_eq!(Imprint::from_bytes(&bytes), Some(imprint));
            assert_eq!(Imprint::from_bytes(&bytes[1..]), None);
            assert_eq!(Imprint::from_bytes(&[&bytes[..33], &[9]].concat()), None);
        }
    }
}
