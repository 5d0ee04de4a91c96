//! An environment of a part's own: a small component that answers with variables that stand in its
//! memory.

use std::collections::BTreeMap;

use super::ComposeError;
use super::graph::{Graph, Instance};

/// The key that opens the environment of the component.
pub(super) const KEY: &str = "environment";

const INTERFACE: &str = "wasi:cli/environment";

/// What an empty list and `none` look like in memory, at address 0.
const NOTHING_BYTES: usize = 16;

const PAGE_BYTES: usize = 1 << 16;

/// Whether an import is that of the environment, in any version.
pub(super) fn is(import: &str) -> bool {
    import.split('@').next() == Some(INTERFACE)
}

/// Satisfies a part's import of the environment, if it has one, with these variables.
pub(super) fn give(
    graph: &mut Graph,
    part: &Instance,
    variables: &BTreeMap<String, String>,
) -> Result<(), ComposeError> {
    for import in graph.imports(part).into_iter().filter(|import| is(import)) {
        let wasm = component(&import, variables)
            .map_err(|error| ComposeError::Unfit { reason: error.to_string() })?;
        let environment = graph.add("an environment", wasm)?;
        graph.connect(part, &import, &environment, &import)?;
    }
    Ok(())
}

/// A component that exports the environment under `name`: these variables, no arguments, no working
/// directory. WASI 0.2 and 0.3 call the last by different names.
fn component(name: &str, variables: &BTreeMap<String, String>) -> Result<Vec<u8>, wat::Error> {
    let (image, answer) = image(variables);
    let pages = image.len().div_ceil(PAGE_BYTES).max(1);
    let (name, image) = (escaped(name.as_bytes()), escaped(&image));
    wat::parse_str(format!(
        r#"(component
            (core module $module
                (memory (export "memory") {pages} {pages})
                (func (export "variables") (result i32) i32.const {answer})
                (func (export "nothing") (result i32) i32.const 0)
                (data (i32.const 0) "{image}"))
            (core instance $core (instantiate $module))
            (func $variables (result (list (tuple string string)))
                (canon lift (core func $core "variables") (memory $core "memory")))
            (func $arguments (result (list string))
                (canon lift (core func $core "nothing") (memory $core "memory")))
            (func $directory (result (option string))
                (canon lift (core func $core "nothing") (memory $core "memory")))
            (instance $environment
                (export "get-environment" (func $variables))
                (export "get-arguments" (func $arguments))
                (export "initial-cwd" (func $directory))
                (export "get-initial-cwd" (func $directory)))
            (export "{name}" (instance $environment)))"#
    ))
}

/// Bytes as they stand in a text's strings.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// What is in the memory, and where in it the list of variables stands: nothing, the list's address
/// and length, its pairs of addresses and lengths, the texts.
fn image(variables: &BTreeMap<String, String>) -> (Vec<u8>, usize) {
    const PAIR_BYTES: usize = 16;
    let list = NOTHING_BYTES + 8;
    let mut words = vec![list, variables.len()];
    let mut texts = String::new();
    let begin = list + variables.len() * PAIR_BYTES;
    for text in variables.iter().flat_map(|(name, value)| [name, value]) {
        words.extend([begin + texts.len(), text.len()]);
        texts.push_str(text);
    }
    let mut image = vec![0; NOTHING_BYTES];
    // A manifest is far smaller than what 32 bits can address.
    image.extend(words.iter().flat_map(|word| (*word as u32).to_le_bytes()));
    image.extend(texts.as_bytes());
    (image, NOTHING_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn any_variables_make_a_valid_component() {
        let long = "x".repeat(200_000);
        for pairs in [&[][..], &[("A", "1"), ("B", "")], &[("LONG", &long)]] {
            let wasm = component("wasi:cli/environment@0.2.0", &variables(pairs)).unwrap();
            wasmparser::Validator::new().validate_all(&wasm).unwrap();
        }
    }

    #[test]
    fn the_image_is_what_the_canonical_abi_reads() {
        let (image, at) = image(&variables(&[("A", "bc")]));
        assert_eq!(at, 16);
        let words: Vec<u32> =
            image[16..40].chunks(4).map(|w| u32::from_le_bytes(w.try_into().unwrap())).collect();
        assert_eq!(words, [24, 1, 40, 1, 41, 2]);
        assert_eq!(&image[40..], b"Abc");
    }
}
