//! Files as granted, through the standard library.

use std::io::{Read as _, Write as _};

use crate::exchange::{Exchange, Failure};

/// The contents of `path`, streamed.
pub fn read(exchange: &mut Exchange) -> Result<(), Failure> {
    let file = std::fs::File::open(exchange.required("path")?)?;
    let mut body = exchange.start(200, &[("content-type", b"application/octet-stream".to_vec())])?;
    body.pump(file)?;
    body.finish(None)
}

/// Writes the request's body to `path`, and answers how many bytes it had.
pub fn write(exchange: &mut Exchange) -> Result<(), Failure> {
    let mut file = std::fs::File::create(exchange.required("path")?)?;
    let (_body, mut stream) = exchange.body()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    file.write_all(&bytes)?;
    exchange.text(&format!("{}\n", bytes.len()))
}

/// The names in the folder `path`, sorted, one a line, folders with a slash at their end.
pub fn list(exchange: &mut Exchange) -> Result<(), Failure> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(exchange.required("path")?)? {
        let entry = entry?;
        let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
        lines.push(format!("{}{slash}\n", entry.file_name().to_string_lossy()));
    }
    lines.sort();
    exchange.text(&lines.concat())
}
