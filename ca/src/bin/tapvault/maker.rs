//! `tapvault platform` and `tapvault provider`: what is signed off the device.

use crate::output::{Failure, Output, hex, id};
use clap::Subcommand;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tapvault::maker::{
    MakerError, audit,
    document::{Trustlet, command, to_file},
    enrol::{Enrolment, digest, enrol},
    identity::{dashed, group, tvm, user},
    key::ProviderKey,
};
use tapvault_proto::{
    document::unhex,
    id::{Address, ProviderId, TrustletName},
    service::Service,
};
use teei_hypervisor::{manifest::Signer, signature::PublicKey};

/// The maker's side. These keys stay with the maker: whoever signs native code can halt OP-TEE.
#[derive(Subcommand)]
pub enum Platform {
    /// Enrols a provider: stamps and signs its TVM, and prints its entry for the policy (JSON).
    #[command(after_help = "Example:
  tapvault platform enroll-provider --provider 67381d66… --public bank.pub --image target/tas/tvm.elf \\
    --approved target/tas/tvm.approved --platform-key default_ta.pem --subkey bank-a.pem \\
    --sign-tool ta/sign --out target/tas
Install the .ta beside the others, and put the entry into the next policy. The subkey is drawn when its
file is not there; it signs trusted apps of this provider only, and never leaves the platform.")]
    EnrollProvider {
        /// The provider's id, 32 hexadecimal digits.
        #[arg(long, value_name = "HEX32", value_parser = id)]
        provider: [u8; 16],
        /// The provider's public key: 130 hexadecimal digits, as `tapvault provider public` prints.
        #[arg(long, value_name = "FILE")]
        public: PathBuf,
        /// The TVM's image as built.
        #[arg(long, value_name = "ELF")]
        image: PathBuf,
        /// Digests of images that may be signed, one on each line.
        #[arg(long, value_name = "FILE")]
        approved: PathBuf,
        /// The key for trusted apps that OP-TEE is built to trust; RSA, PEM.
        #[arg(long, value_name = "PEM")]
        platform_key: PathBuf,
        /// The provider's subkey, kept by the platform; drawn when missing.
        #[arg(long, value_name = "PEM")]
        subkey: PathBuf,
        /// OP-TEE's sign_encrypt.py, or a command that runs it.
        #[arg(long, value_name = "PROGRAM")]
        sign_tool: PathBuf,
        /// Version in the signed header; a device refuses a lower one once it ran this.
        #[arg(long, default_value_t = 0, value_name = "N")]
        ta_version: u32,
        /// Folder for the signed TVM.
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
    /// Prints the UUID of a provider's TVM.
    TvmUuid {
        /// The provider's id.
        #[arg(value_parser = id)]
        provider: [u8; 16],
    },
    /// Prints the digest of an image, the same for every provider: what an approval lists.
    ImageDigest {
        /// The TVM's image as built.
        image: PathBuf,
    },
    /// Checks an exported audit log without the device: chain, numbers, nonce, and the head's signature.
    VerifyAudit {
        /// What `tapvault tee audit --json` printed.
        file: PathBuf,
        /// The nonce that the export was asked with, 64 hexadecimal digits.
        #[arg(long, value_name = "HEX64")]
        nonce: String,
        /// The device's audit key, 130 hexadecimal digits; without it the file's own is believed, which
        /// proves the chain and not the device.
        #[arg(long, value_name = "HEX130")]
        key: Option<String>,
    },
}

/// The provider's side: needs no permission after enrolment.
#[derive(Subcommand)]
pub enum Provider {
    /// Draws a signing key into a new file.
    NewKey {
        /// The file, PEM.
        out: PathBuf,
    },
    /// Prints the public key, for the maker.
    Public {
        /// The key, PEM.
        key: PathBuf,
    },
    /// Signs a trustlet's manifest.
    #[command(after_help = "Example:
  tapvault provider sign-trustlet --key bank.pem --provider 67381d66… --name hello --version 1 \\
    --module hello.wasm --services log,clock --client-user 1000 --out hello.manifest.json
A device takes a version once, and no lower one afterwards.")]
    SignTrustlet(SignTrustlet),
    /// Signs a command that moves a trustlet through its life.
    SignCommand {
        /// The provider's key, PEM.
        #[arg(long, value_name = "PEM")]
        key: PathBuf,
        /// The provider's id.
        #[arg(long, value_name = "HEX32", value_parser = id)]
        provider: [u8; 16],
        /// Which trustlet.
        #[arg(long, value_parser = name)]
        name: TrustletName,
        /// Higher than that of any command for it before.
        #[arg(long)]
        sequence: u32,
        /// activate, lock, unlock or remove.
        action: String,
        /// Where the signed command goes.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Signs a trustlet's manifest.
#[derive(clap::Args)]
pub struct SignTrustlet {
    /// The provider's key, PEM.
    #[arg(long, value_name = "PEM")]
    key: PathBuf,
    /// The provider's id.
    #[arg(long, value_name = "HEX32", value_parser = id)]
    provider: [u8; 16],
    /// The trustlet's name: 1 to 16 of a-z, 0-9 and -.
    #[arg(long, value_parser = name)]
    name: TrustletName,
    /// Its version, from 1.
    #[arg(long)]
    version: u32,
    /// The module, 1 to 65536 bytes.
    #[arg(long, value_name = "WASM")]
    module: PathBuf,
    /// Services it wants: pin, card, random, clock, log, store, network, element.
    #[arg(long, value_delimiter = ',', value_parser = service)]
    services: Vec<Service>,
    /// Bytes it stores.
    #[arg(long, default_value_t = 0)]
    store: u16,
    /// Trustlets of other providers it exchanges messages with: PROVIDER/NAME, four at most.
    #[arg(long, value_delimiter = ',', value_parser = address)]
    peers: Vec<Address>,
    /// User ids that may open it; four clients at most.
    #[arg(long, value_delimiter = ',', value_name = "UID")]
    client_user: Vec<u32>,
    /// Group ids that may open it.
    #[arg(long, value_delimiter = ',', value_name = "GID")]
    client_group: Vec<u32>,
    /// Pages of memory, 64 KiB each: 1 to 16.
    #[arg(long, default_value_t = 2)]
    pages: u8,
    /// Value stack in bytes: 1024 to 65536.
    #[arg(long, default_value_t = 8192)]
    stack: u32,
    /// Nesting of calls: 1 to 256.
    #[arg(long, default_value_t = 64)]
    depth: u16,
    /// Fuel of one call, about one for each instruction of Wasm.
    #[arg(long, default_value_t = 2_000_000)]
    fuel: u64,
    /// Lets it take the place of a damaged record on a device; sign so only the newest version.
    #[arg(long)]
    recover: bool,
    /// Where the signed manifest goes.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs a maker's command.
///
/// # Errors
/// [`MakerError`]'s.
pub fn platform(command: Platform, output: &Output) -> Result<(), Failure> {
    match command {
        Platform::EnrollProvider {
            provider,
            public,
            image,
            approved,
            platform_key,
            subkey,
            sign_tool,
            ta_version,
            out,
        } => {
            let text = read_text(&public)?;
            let key = unhex(text.trim())
                .map_err(|_| MakerError::Content(public, "not a public key of 130 hexadecimal digits"))?;
            let provider = ProviderId(provider);
            let entry = enrol(&Enrolment {
                image: &image,
                approved: &approved,
                provider,
                key,
                platform_key: &platform_key,
                subkey: &subkey,
                sign_tool: &sign_tool,
                ta_version,
                out: &out,
            })?;
            let uuid = dashed(tvm(provider));
            output.show(&entry, &format!("signed {uuid}.ta\nfor the policy: {entry}"));
        }
        Platform::TvmUuid { provider } => {
            let uuid = dashed(tvm(ProviderId(provider)));
            output.show(&json!({ "uuid": uuid }), &uuid);
        }
        Platform::ImageDigest { image } => {
            let digest = digest(&image)?;
            output.show(&json!({ "digest": digest }), &digest);
        }
        Platform::VerifyAudit { file, nonce, key } => {
            let bytes = fs::read(&file).map_err(|error| MakerError::File(file, error))?;
            let verified = audit::verify(&bytes, &nonce, key.as_deref()).map_err(Failure::Content)?;
            output.show(
                &json!({ "verified": verified.entries, "last": verified.last, "device": key.is_some() }),
                &format!("{} entries verify, up to number {}", verified.entries, verified.last),
            );
        }
    }
    Ok(())
}

/// Runs a provider's command.
///
/// # Errors
/// [`MakerError`]'s.
pub fn provider(command_line: Provider, output: &Output) -> Result<(), Failure> {
    match command_line {
        Provider::NewKey { out } => {
            let public = hex(&ProviderKey::create(&out)?.public());
            output.show(&json!({ "public": public }), &public);
        }
        Provider::Public { key } => {
            let public = hex(&ProviderKey::read(&key)?.public());
            output.show(&json!({ "public": public }), &public);
        }
        Provider::SignTrustlet(arguments) => {
            let key = ProviderKey::read(&arguments.key)?;
            let module = fs::read(&arguments.module)
                .map_err(|error| MakerError::File(arguments.module.clone(), error))?;
            let clients = arguments.client_user.iter().map(|id| user(*id));
            let trustlet = Trustlet {
                name: arguments.name,
                version: arguments.version,
                pages: arguments.pages,
                stack: arguments.stack,
                depth: arguments.depth,
                fuel: arguments.fuel,
                services: arguments.services,
                store: arguments.store,
                peers: arguments.peers,
                recover: arguments.recover,
                clients: clients.chain(arguments.client_group.iter().map(|id| group(*id))).collect(),
            };
            let provider = ProviderId(arguments.provider);
            let signed = trustlet.sign(provider, &key, &module)?;
            let signer = Signer { provider, key: PublicKey(key.public()) };
            signer.manifest(&signed.document, &signed.signature).map_err(|_| {
                MakerError::Value("a device would refuse this manifest: --help has the limits".into())
            })?;
            write(&arguments.out, &signed, output)?;
        }
        Provider::SignCommand { key, provider, name, sequence, action, out } => {
            let key = ProviderKey::read(&key)?;
            write(&out, &command(ProviderId(provider), &key, &name, sequence, &action)?, output)?;
        }
    }
    Ok(())
}

fn write(out: &Path, signed: &tapvault::trustlet::Signed, output: &Output) -> Result<(), Failure> {
    fs::write(out, to_file(signed)).map_err(|error| MakerError::File(out.to_owned(), error))?;
    let out = out.display().to_string();
    output.show(&json!({ "written": out }), &format!("written: {out}"));
    Ok(())
}

fn read_text(path: &Path) -> Result<String, MakerError> {
    fs::read_to_string(path).map_err(|error| MakerError::File(path.to_owned(), error))
}

/// A trustlet's name.
///
/// # Errors
/// A text for the command line.
pub fn name(text: &str) -> Result<TrustletName, String> {
    TrustletName::new(text.as_bytes()).map_err(|_| "1 to 16 of a-z, 0-9 and -".into())
}

fn service(text: &str) -> Result<Service, String> {
    let found = Service::by_name(text).filter(|service| Service::FOR_TRUSTLETS.contains(service));
    found.ok_or_else(|| {
        let names: Vec<_> = Service::FOR_TRUSTLETS.iter().map(|service| service.name()).collect();
        format!("one of {}", names.join(", "))
    })
}

fn address(text: &str) -> Result<Address, String> {
    let wrong = || "PROVIDER/NAME, the provider in 32 hexadecimal digits".to_owned();
    let (provider, trustlet) = text.split_once('/').ok_or_else(wrong)?;
    let provider = ProviderId(unhex(provider).map_err(|_| wrong())?);
    Ok(Address { provider, name: name(trustlet)? })
}

impl From<MakerError> for Failure {
    fn from(error: MakerError) -> Self {
        Self::Content(error.to_string())
    }
}

/// Reads a signed document.
///
/// # Errors
/// A file's.
#[cfg(feature = "optee")]
pub fn signed(path: &Path) -> Result<tapvault::trustlet::Signed, Failure> {
    let bytes = fs::read(path).map_err(|error| MakerError::File(path.to_owned(), error))?;
    Ok(tapvault::maker::document::from_file(&bytes)?)
}
