//! What commands read.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

/// Reads a file of at most `limit` bytes; `-` is standard input.
///
/// # Errors
/// A message: why it cannot be read, or that it is longer.
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(fs::File::open(path).map_err(failed)?)
    };
    let mut bytes = Vec::new();
    input.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > limit {
        return Err(format!("{}: longer than {limit} bytes", path.display()));
    }
    Ok(bytes)
}
