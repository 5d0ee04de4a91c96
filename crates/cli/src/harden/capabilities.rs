//! Capabilities: what root may do beyond the owner of its files, and whoever else was given some.
//! <https://man7.org/linux/man-pages/man7/capabilities.7.html>
//!
//! By now the listeners are open, those below port 1024 too, and to hand sockets over takes none. What may be left
//! are files of another user's, which root reaches by a capability alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result};
use rustix::fs::{Access, accessat};
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

use super::Needs;

/// How many files of a folder are looked at.
const FILES: usize = 1000;

/// Gives up all capabilities of this thread, and of those that it will start; but for the one over the
/// rights of files, if there is a path that serving needs and that only this one opens.
pub(super) fn restrict(needs: &Needs) -> Result<Option<PathBuf>> {
    let all = capabilities(None).context("the kernel does not tell")?;
    if (all.permitted | all.inheritable).is_empty() {
        return Ok(None);
    }
    let others = thread::scope(|scope| scope.spawn(|| denied(needs)).join());
    let others = others.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let kept = match others {
        Some(_) => all.permitted & CapabilitySet::DAC_OVERRIDE,
        None => CapabilitySet::empty(),
    };
    if all.effective.contains(CapabilitySet::SETPCAP) {
        for bit in 0..u64::BITS {
            let capability = CapabilitySet::from_bits_retain(1 << bit);
            if kept.contains(capability) {
                continue;
            }
            match remove_capability_from_bounding_set(capability) {
                // One that this kernel has not.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(error) => return Err(error).context("the bounding set stays"),
            }
        }
    }
    match clear_ambient_capability_set() {
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(error).context("the ambient set stays"),
    }
    set(kept)?;
    Ok(others)
}

fn set(kept: CapabilitySet) -> Result<()> {
    let inheritable = CapabilitySet::empty();
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable };
    set_capabilities(None, sets).context("the kernel does not take them")
}

/// The first path that is needed and that this thread cannot open once it has no capabilities.
fn denied(needs: &Needs) -> Result<Option<PathBuf>> {
    set(CapabilitySet::empty())?;
    let reads = needs.read.iter().map(|path| (path, Access::READ_OK));
    let named = needs.files.iter().map(|path| (path, Access::empty()));
    let writes = needs.write.iter().map(|path| (path, Access::READ_OK | Access::WRITE_OK));
    let unlinks = needs.unlink.iter().map(|path| (path, Access::WRITE_OK));
    for (path, access) in reads.chain(named).chain(unlinks) {
        if is_denied(path, access) {
            return Ok(Some(path.clone()));
        }
    }
    for (path, access) in writes {
        let files = fs::read_dir(path).into_iter().flatten().flatten().take(FILES);
        let files = files.map(|file| file.path());
        let mut all = std::iter::once(path.clone()).chain(files);
        if let Some(path) = all.find(|path| is_denied(path, access)) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Whether its rights, or those of a folder above it, are not for this thread.
fn is_denied(path: &Path, access: Access) -> bool {
    let access = if path.is_dir() { access | Access::EXEC_OK } else { access };
    let allowed = accessat(rustix::fs::CWD, path, access, rustix::fs::AtFlags::empty());
    allowed == Err(Errno::ACCESS)
}
