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

/// Opens a path of one of the folders that the host granted.
async fn open_as(
    path: &str,
    flags: OpenFlags,
    access: DescriptorFlags,
) -> Result<Descriptor, ErrorCode> {
    let granted = get_directories();
    let inside = granted.iter().filter_map(|(folder, at)| {
        let rest = path.strip_prefix(at.as_str())?;
        let rest = rest.trim_start_matches('/');
        Some((folder, at.len(), if rest.is_empty() { "." } else { rest }))
    });
    let (folder, _, rest) =
        inside.max_by_key(|(_, length, _)| *length).ok_or(ErrorCode::NoEntry)?;
    folder.open_at(PathFlags::SYMLINK_FOLLOW, rest.to_owned(), flags, access).await
}

fn name(error: ErrorCode) -> String {
    format!("{error:?}")
}
