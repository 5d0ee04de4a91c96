//! The name by which this process takes messages. It outlives the process: who is started again finds
//! what it has left. Of several processes with the same state folder each has its own; a trigger keeps
//! its own when a release of the app follows another.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::dispatch::ActivateError;
use crate::events::Opening;

/// How many processes there may be.
const MOST: u32 = 1000;

/// The longest name of a folder that file systems take, in bytes.
const LONGEST_NAME: usize = 255;

/// A name that no other process has.
pub(crate) struct Consumer {
    pub(super) name: String,
    note: PathBuf,
    /// Unlocked when this process ends, however it does.
    _lock: File,
}

/// The names that the triggers of one app have.
#[derive(Default)]
pub(crate) struct Consumers(Mutex<HashMap<String, Weak<Consumer>>>);

impl Consumer {
    /// The name of a trigger: the one that it has, or a new one.
    pub(super) fn of(opening: &Opening<'_>, trigger: &str) -> Result<Arc<Self>, ActivateError> {
        let mut known = opening.consumers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(consumer) = known.get(trigger).and_then(Weak::upgrade) {
            return Ok(consumer);
        }
        let folder = opening.backends.state.join("consumers").join(folder_name(trigger));
        let consumer = Self::take(&folder).map(Arc::new).map_err(|error| {
            ActivateError::Event(format!("failed to write to `{}`: {error}", folder.display()))
        })?;
        known.insert(trigger.to_owned(), Arc::downgrade(&consumer));
        Ok(consumer)
    }

    /// Takes the first name in a folder that nobody has.
    fn take(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        for number in 0..MOST {
            let path = folder.join(number.to_string());
            let note = folder.join(format!("{number}.note"));
            let options =
                File::options().create(true).truncate(false).read(true).write(true).open(path);
            let mut file = options?;
            match file.try_lock() {
                Ok(()) => {
                    let name = name(&mut file)?;
                    return Ok(Self { name, note, _lock: file });
                }
                Err(fs::TryLockError::WouldBlock) => {}
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other(format!("{MOST} other processes serve it")))
    }
}

impl Consumer {
    /// What was noted last, by whichever process had this name.
    pub(super) fn noted(&self) -> Option<String> {
        fs::read_to_string(&self.note).ok()
    }

    /// Notes something in place of what was noted before.
    pub(super) fn note(&self, text: &str) -> io::Result<()> {
        if self.noted().as_deref() == Some(text) { Ok(()) } else { fs::write(&self.note, text) }
    }
}

/// A trigger's id, which may be any text, as the name of one file or folder: its own, as far as that leads
/// nowhere else.
pub(super) fn folder_name(id: &str) -> String {
    let mut name = String::new();
    for c in id.chars() {
        match c {
            '/' | '\\' | '%' | '\0'..='\x1f' => name.push_str(&format!("%{:02X}", u32::from(c))),
            _ => name.push(c),
        }
    }
    match name.as_str() {
        "" | "." | ".." => name.replace('.', "%2E") + "%",
        // No other name has this after a `%`.
        _ if name.len() > LONGEST_NAME => format!("%h{}", blake3::hash(id.as_bytes()).to_hex()),
        _ => name,
    }
}

/// The name that a file holds, or a new one.
fn name(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    if let Ok(name) = text.trim().parse::<uuid::Uuid>() {
        return Ok(name.to_string());
    }
    let name = uuid::Uuid::new_v4().to_string();
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(name.as_bytes())?;
    file.sync_all()?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Component;

    use super::*;

    #[test]
    fn an_id_is_one_folder_whatever_it_says() {
        for plain in ["orders", "a.b", "guest-redis-trigger", "mqtt_1", "Größe 7", "..."] {
            assert_eq!(folder_name(plain), plain);
        }
        let long = "x".repeat(1000);
        let strange =
            ["", ".", "..", "/", "../../7/x", "..%2Fx", "../x", "/etc", "a\\b", "a\0b", "%"];
        let strange: Vec<&str> = strange.into_iter().chain([long.as_str()]).collect();
        let names: BTreeSet<_> = strange.iter().map(|id| folder_name(id)).collect();
        assert_eq!(names.len(), strange.len());
        for name in names {
            let parts: Vec<_> = Path::new(&name).components().collect();
            assert!(matches!(parts[..], [Component::Normal(_)]), "{name}");
            assert!(name.len() <= LONGEST_NAME && !name.contains('\0'), "{name}");
        }
    }

    #[test]
    fn a_name_is_found_again_and_never_shared() {
        let folder = tempfile::tempdir().unwrap();
        let one = Consumer::take(folder.path()).unwrap();
        let other = Consumer::take(folder.path()).unwrap();
        assert_ne!(one.name, other.name);
        let name = one.name.clone();
        drop(one);
        assert_eq!(Consumer::take(folder.path()).unwrap().name, name);
    }
}
