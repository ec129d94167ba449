//! Messages as commands print them for the phone's client.

use tapvault_proto::wire::{Wire, encode_into};

/// JSON with one field, the message's bytes in hexadecimal digits.
///
/// # Errors
/// A message: a length that cannot occur.
pub fn message<M: Wire>(field: &str, message: &M) -> Result<String, String> {
    let mut bytes = vec![0; M::MAX];
    let length = encode_into(message, &mut bytes).map_err(|error| format!("{error:?}"))?;
    let digits = hex::encode(bytes.get(..length).unwrap_or_default());
    Ok(serde_json::Value::from_iter([(field, digits)]).to_string())
}
