//! An artifact's file is taken only if it ends in the trailer that the key gives it: the input as
//! it is never, the input with its trailer behind it always, and never with one byte changed.
#![no_main]

use dayfly_engine::artifact::{ArtifactKey, parse, trailer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let (key, mac_key) = (ArtifactKey::from([7; 32]), [9; 32]);
    assert!(parse(file, &key, &mac_key).is_err(), "a forged artifact");
    let Some((at, image)) = file.split_first_chunk::<2>() else { return };
    let mut good = image.to_vec();
    good.extend_from_slice(&trailer(image, &key, &mac_key));
    assert_eq!(parse(&good, &key, &mac_key).ok(), Some(image));
    let at = usize::from(u16::from_le_bytes(*at)) % good.len();
    good[at] ^= 1;
    assert!(parse(&good, &key, &mac_key).is_err(), "byte {at} was changed");
});
