//! wasi:filesystem 0.3.

use wasip3::filesystem::preopens::get_directories;
use wasip3::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasip3::wit_bindgen::spawn_local;
use wasip3::wit_stream;

use crate::Outcome;
use crate::output::{copy, print};

pub async fn cat(path: &str) -> Outcome {
    let file = open_as(path, OpenFlags::empty(), DescriptorFlags::READ).await.map_err(name)?;
    let (contents, read) = file.read_via_stream(0);
    copy(Vec::new(), contents).await?;
    read.await.map_err(name)
}

pub async fn write(path: &str, text: &str) -> Outcome {
    let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE;
    let file = open_as(path, flags, DescriptorFlags::WRITE).await.map_err(name)?;
    let (mut sender, reader) = wit_stream::new();
    let written = file.write_via_stream(reader, 0);
    let text = text.as_bytes().to_vec();
    spawn_local(async move {
        sender.write_all(text).await;
    });
    written.await.map_err(name)
}

pub async fn list(folder: &str) -> Outcome {
    let folder =
        open_as(folder, OpenFlags::DIRECTORY, DescriptorFlags::READ).await.map_err(name)?;
    let (entries, read) = folder.read_directory();
    let mut names: Vec<String> =
        entries.collect().await.into_iter().map(|entry| entry.name + "\n").collect();
    read.await.map_err(name)?;
    names.sort();
    print(&names.concat()).await
}

/// Opens a file many times at once, and says how often that went well.
pub async fn open(path: &str, times: &str) -> Outcome {
    let times: usize = times.parse().map_err(|error| format!("{error}"))?;
    let mut opened = Vec::new();
    let mut refused = String::new();
    for _ in 0..times {
        match open_as(path, OpenFlags::empty(), DescriptorFlags::READ).await {
            Ok(file) => opened.push(file),
            Err(error) => refused = name(error),
        }
    }
    print(&format!("{} {refused}\n", opened.len())).await
}

/// Appends to a file that is there.
pub async fn append(path: &str, text: &str) -> Outcome {
    let file = open_as(path, OpenFlags::empty(), DescriptorFlags::WRITE).await.map_err(name)?;
    let (mut sender, reader) = wit_stream::new();
    let written = file.append_via_stream(reader);
    let text = text.as_bytes().to_vec();
    spawn_local(async move {
        sender.write_all(text).await;
    });
    written.await.map_err(name)
}

/// Changes what a folder has: `mkdir`, `rmdir`, `rm`; with a second path `mv`, `ln`, and `symlink`,
/// whose first is the text of the link.
pub async fn change(what: &str, path: &str, other: &str) -> Outcome {
    let (folder, rest) = granted(if what == "symlink" { other } else { path }).map_err(name)?;
    let rest = rest.to_owned();
    let done = match what {
        "mkdir" => folder.create_directory_at(rest).await,
        "rmdir" => folder.remove_directory_at(rest).await,
        "rm" => folder.unlink_file_at(rest).await,
        "symlink" => folder.symlink_at(path.to_owned(), rest).await,
        _ => {
            let (to, other) = granted(other).map_err(name)?;
            let other = other.to_owned();
            match what {
                "mv" => folder.rename_at(rest, &to, other).await,
                _ => folder.link_at(PathFlags::empty(), rest, &to, other).await,
            }
        }
    };
    done.map_err(name)
}

/// What a path is, and how large.
pub async fn stat(path: &str) -> Outcome {
    let (folder, rest) = granted(path).map_err(name)?;
    let stat = folder.stat_at(PathFlags::empty(), rest.to_owned()).await.map_err(name)?;
    print(&format!("{:?} {}\n", stat.type_, stat.size)).await
}

/// Opens a path of one of the folders that the host granted.
async fn open_as(
    path: &str,
    flags: OpenFlags,
    access: DescriptorFlags,
) -> Result<Descriptor, ErrorCode> {
    let (folder, rest) = granted(path)?;
    folder.open_at(PathFlags::SYMLINK_FOLLOW, rest.to_owned(), flags, access).await
}

/// The granted folder that a path is in, and its path there.
fn granted(path: &str) -> Result<(Descriptor, &str), ErrorCode> {
    let granted = get_directories();
    let inside = granted.into_iter().filter_map(|(folder, at)| {
        let rest = path.strip_prefix(at.as_str())?;
        let rest = rest.trim_start_matches('/');
        Some((folder, at.len(), if rest.is_empty() { "." } else { rest }))
    });
    let (folder, _, rest) =
        inside.max_by_key(|(_, length, _)| *length).ok_or(ErrorCode::NoEntry)?;
    Ok((folder, rest))
}

fn name(error: ErrorCode) -> String {
    format!("{error:?}")
}
