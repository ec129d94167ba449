//! Enrolling a provider: a subkey for its name space, its stamped and signed TVM, its entry for the policy.

use super::{
    MakerError,
    document::hex,
    identity::{TVM_NAME, dashed, tvm},
    image::Image,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tapvault_proto::{document::unhex, id::ProviderId};

/// What enrolment needs.
pub struct Enrolment<'a> {
    /// The TVM's image as built.
    pub image: &'a Path,
    /// Digests of the images that may be signed, one in hexadecimal on each line.
    pub approved: &'a Path,
    /// The provider's id.
    pub provider: ProviderId,
    /// The provider's public key, SEC 1 uncompressed.
    pub key: [u8; 65],
    /// The platform's key for trusted apps, which OP-TEE is built to trust; RSA, PEM.
    pub platform_key: &'a Path,
    /// The subkey, which never leaves the platform; drawn when the file is not there.
    pub subkey: &'a Path,
    /// OP-TEE's `sign_encrypt.py`, or a command that runs it.
    pub sign_tool: &'a Path,
    /// The version in the signed header: OP-TEE refuses a lower one afterwards.
    pub ta_version: u32,
    /// Where the signed TVM goes.
    pub out: &'a Path,
}

/// Enrols a provider; returns its entry for the policy, with ordinary quotas.
///
/// # Errors
/// [`MakerError`]; the out folder may then hold the subkey's certificate, and no TVM.
pub fn enrol(enrolment: &Enrolment<'_>) -> Result<Value, MakerError> {
    let image = approved_image(enrolment)?;
    let uuid = tvm(enrolment.provider);
    let stem = dashed(uuid);
    let file = |ending: &str| enrolment.out.join(format!("{stem}.{ending}"));
    fs::create_dir_all(enrolment.out).map_err(|error| MakerError::File(enrolment.out.to_owned(), error))?;
    let (elf, certificate, signed) = (file("elf"), file("subkey"), file("ta"));

    if !enrolment.subkey.exists() {
        run("openssl", &["genrsa", "-out", &text(enrolment.subkey), "2048"])?;
    }
    let tool = text(enrolment.sign_tool);
    let namespace = dashed(tapvault_proto::id::Uuid(enrolment.provider.0));
    let (subkey, platform) = (text(enrolment.subkey), text(enrolment.platform_key));
    // Depth 0: under this subkey there are trusted apps and no further subkeys.
    run(
        &tool,
        &[
            "sign-subkey",
            "--uuid",
            &namespace,
            "--key",
            &platform,
            "--in",
            &subkey,
            "--out",
            &text(&certificate),
            "--max-depth",
            "0",
            "--name-size",
            "64",
        ],
    )?;
    write(&elf, &image.stamped(uuid, enrolment.provider, &enrolment.key))?;
    run(
        &tool,
        &[
            "sign-enc",
            "--uuid",
            &stem,
            "--key",
            &subkey,
            "--subkey",
            &text(&certificate),
            "--name",
            TVM_NAME,
            "--ta-version",
            &enrolment.ta_version.to_string(),
            "--in",
            &text(&elf),
            "--out",
            &text(&signed),
        ],
    )?;
    fs::remove_file(&elf).map_err(|error| MakerError::File(elf.clone(), error))?;
    Ok(json!({
        "id": enrolment.provider.to_string(),
        "tvm": uuid.to_string(),
        "services": ["random", "clock", "log", "store", "network", "card", "pin"],
        "guests": 4, "memory_kib": 2048, "store": 4096, "messages": 4,
        "signatures": 60, "accesses": 240, "loads": 60,
    }))
}

/// The digest that [`Enrolment::approved`] has to hold for an image.
///
/// # Errors
/// [`MakerError::File`], [`MakerError::Image`].
pub fn digest(image: &Path) -> Result<String, MakerError> {
    Ok(hex(&read(image)?.digest()))
}

fn read(path: &Path) -> Result<Image, MakerError> {
    Image::parse(fs::read(path).map_err(|error| MakerError::File(path.to_owned(), error))?)
}

fn approved_image(enrolment: &Enrolment<'_>) -> Result<Image, MakerError> {
    let image = read(enrolment.image)?;
    let approved = fs::read_to_string(enrolment.approved)
        .map_err(|error| MakerError::File(enrolment.approved.to_owned(), error))?;
    let digest = image.digest();
    let known = approved.lines().any(|line| unhex::<32>(line.trim()).is_ok_and(|line| line == digest));
    if known { Ok(image) } else { Err(MakerError::Image("its digest is not among the approved ones")) }
}

fn write(path: &PathBuf, bytes: &[u8]) -> Result<(), MakerError> {
    fs::write(path, bytes).map_err(|error| MakerError::File(path.clone(), error))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn run(program: &str, arguments: &[&str]) -> Result<(), MakerError> {
    let failed =
        |what: String| MakerError::Tool(format!("{program} {}: {what}", arguments.first().unwrap_or(&"")));
    let output = Command::new(program).args(arguments).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}
