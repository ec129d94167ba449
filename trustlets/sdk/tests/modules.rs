//! What a TVM asks of a module, asked of the built ones; `trustlets/build` runs this with their paths.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use std::{env, fs};
use tapvault_trustlet::{
    Error, World,
    proto::{
        trustlet::abi,
        wire::{decode_exact, encode_into},
    },
    testing::{FakeWorld, client},
};
use wasmi::{Engine, Linker, Memory, Module, Store, TypedFunc};
use wasmparser::{ExternalKind, FuncType, Parser, Payload, TypeRef, ValType, Validator, WasmFeatures};

/// Longest module and most pages of 64 KiB that a manifest can name.
const ANY: (usize, u64) = (64 * 1024, 16);
/// The same for the examples, which are to stay small.
const EXAMPLE: (usize, u64) = (24 * 1024, 1);

/// Path and bytes of every module.
fn modules() -> Vec<(String, Vec<u8>)> {
    let read = |path: &str| {
        let module = fs::read(path);
        (path.to_owned(), module.unwrap_or_else(|error| panic!("{path}: {error}; run trustlets/build")))
    };
    match env::var("TAPVAULT_MODULES") {
        Ok(paths) => paths.split(':').map(read).collect(),
        // By itself: what was built last.
        Err(_) => ["hello", "shield", "transit"]
            .map(|name| read(&format!("{}/../../target/trustlets/{name}.wasm", env!("CARGO_MANIFEST_DIR"))))
            .to_vec(),
    }
}

/// Whether the modules are the examples.
fn examples() -> bool {
    env::var("TAPVAULT_MODULES").is_err() || env::var("TAPVAULT_EXAMPLES").is_ok_and(|set| !set.is_empty())
}

/// A module in an engine, with a fake world behind its import.
struct Running {
    store: Store<FakeWorld>,
    memory: Memory,
    handle: TypedFunc<i32, i32>,
    buffer: usize,
}

impl Running {
    fn new(module: &[u8]) -> Self {
        let engine = Engine::default();
        let module = Module::new(&engine, module).expect("it compiles");
        let mut store = Store::new(&engine, FakeWorld::new());
        let mut linker = Linker::new(&engine);
        linker.func_wrap(abi::IMPORT_MODULE, abi::IMPORT_CALL, exchange).expect("one import");
        let instance = linker.instantiate_and_start(&mut store, &module).expect("it starts");
        let memory = instance.get_memory(&store, abi::EXPORT_MEMORY).expect("its memory");
        let buffer = instance.get_typed_func::<(), i32>(&store, abi::EXPORT_BUFFER).expect("its buffer");
        let buffer = buffer.call(&mut store, ()).expect("an address") as usize;
        assert!(buffer > 0 && buffer + abi::BUFFER_LEN <= memory.data_size(&store));
        let handle = instance.get_typed_func(&store, abi::EXPORT_HANDLE).expect("its handler");
        Self { store, memory, handle, buffer }
    }

    /// Sends a message as a TVM does; the answer, or what `trustlet_handle` returned.
    fn send(&mut self, message: &[u8]) -> Result<Vec<u8>, i32> {
        let mut input = [0; abi::BUFFER_LEN];
        let len = encode_into(&client(1), &mut input).expect("a party");
        input[len..len + message.len()].copy_from_slice(message);
        self.memory.write(&mut self.store, self.buffer, &input).expect("it is in bounds");
        let returned = self.handle((len + message.len()) as i32);
        let len = usize::try_from(returned).map_err(|_| returned)?;
        Ok(self.memory.data(&self.store)[self.buffer..self.buffer + len].to_vec())
    }

    fn handle(&mut self, len: i32) -> i32 {
        self.handle.call(&mut self.store, len).expect("it does not trap")
    }
}

/// `teei.call`.
fn exchange(
    mut caller: wasmi::Caller<'_, FakeWorld>,
    service: i32,
    method: i32,
    request: i32,
    request_len: i32,
    reply: i32,
    reply_len: i32,
) -> i32 {
    let memory =
        caller.get_export(abi::EXPORT_MEMORY).and_then(wasmi::Extern::into_memory).expect("its memory");
    let (data, world) = memory.data_and_store_mut(&mut caller);
    let request = data[request as usize..][..request_len as usize].to_vec();
    let reply = &mut data[reply as usize..][..reply_len as usize];
    let service = decode_exact(&[service as u8]).expect("a service");
    match world.exchange(service, method as u32, &request, reply) {
        Ok(len) => len as i32,
        Err(error) => error.code() as i32,
    }
}

fn payloads(module: &[u8]) -> impl Iterator<Item = Payload<'_>> {
    Parser::new(0).parse_all(module).map(|payload| payload.expect("the module parses"))
}

fn types(module: &[u8]) -> Vec<FuncType> {
    payloads(module)
        .filter_map(|payload| match payload {
            Payload::TypeSection(section) => Some(section.into_iter_err_on_gc_types()),
            _ => None,
        })
        .flatten()
        .map(|kind| kind.expect("a function type"))
        .collect()
}

#[test]
fn a_module_needs_no_proposal_that_is_off() {
    for (path, module) in modules() {
        // Rust's core library for wasm32 is compiled with sign extension; a TVM allows nothing else.
        let features = WasmFeatures::GC_TYPES | WasmFeatures::SIGN_EXTENSION;
        if let Err(error) = Validator::new_with_features(features).validate_all(&module) {
            panic!("{path}: {error}");
        }
    }
}

#[test]
fn a_module_imports_nothing_but_the_call() {
    for (path, module) in modules() {
        let types = types(&module);
        for payload in payloads(&module) {
            let Payload::ImportSection(imports) = payload else { continue };
            for import in imports {
                let import = import.expect("the import parses");
                assert_eq!((import.module, import.name), (abi::IMPORT_MODULE, abi::IMPORT_CALL), "{path}");
                let TypeRef::Func(index) = import.ty else { panic!("{path}: the import is no function") };
                let expected = FuncType::new([ValType::I32; 6], [ValType::I32]);
                assert_eq!(types[index as usize], expected, "{path}");
            }
        }
    }
}

#[test]
fn a_module_exports_exactly_what_the_interface_names() {
    for (path, module) in modules() {
        let mut exports: Vec<(&str, ExternalKind)> = payloads(&module)
            .filter_map(
                |payload| if let Payload::ExportSection(section) = payload { Some(section) } else { None },
            )
            .flatten()
            .map(|export| export.expect("the export parses"))
            .map(|export| (export.name, export.kind))
            .collect();
        exports.sort_unstable_by_key(|export| export.0);
        let expected = [
            (abi::EXPORT_MEMORY, ExternalKind::Memory),
            (abi::EXPORT_BUFFER, ExternalKind::Func),
            (abi::EXPORT_HANDLE, ExternalKind::Func),
        ];
        assert_eq!(exports, expected, "{path}");
    }
}

#[test]
fn a_module_and_its_memory_are_small_and_bounded() {
    for (path, module) in modules() {
        let (bytes, pages) = if examples() { EXAMPLE } else { ANY };
        assert!(module.len() <= bytes, "{path}: {} bytes", module.len());
        let memories: Vec<_> = payloads(&module)
            .filter_map(
                |payload| if let Payload::MemorySection(section) = payload { Some(section) } else { None },
            )
            .flatten()
            .map(|memory| memory.expect("the memory parses"))
            .collect();
        assert_eq!(memories.len(), 1, "{path}");
        assert_eq!(memories[0].maximum, Some(memories[0].initial), "{path}: it never grows");
        assert!(memories[0].initial <= pages, "{path}: {} pages", memories[0].initial);
    }
}

#[test]
fn a_module_refuses_what_is_no_message_and_stays_alive() {
    for (path, module) in modules() {
        let mut running = Running::new(&module);
        for len in [0, 1, -1, i32::MIN, i32::MAX, abi::BUFFER_LEN as i32, abi::BUFFER_LEN as i32 + 1] {
            assert_eq!(running.handle(len), Error::BadParameters.code() as i32, "{path}: {len}");
        }
        assert_eq!(running.send(&[0xFF; 3]), Err(Error::BadParameters.code() as i32), "{path}");
    }
}

#[test]
fn the_example_hello_greets_from_its_module() {
    for (path, module) in modules() {
        if !examples() || !path.ends_with("/hello.wasm.new") {
            continue;
        }
        let mut running = Running::new(&module);
        running.store.data_mut().time = 0x1234;
        let greeting = b"\x01\x00\x0AHello, Ada\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x12\x34";
        assert_eq!(running.send(b"\x00\x03Ada").as_deref(), Ok(&greeting[..]));
        assert_eq!(running.send(b"\x00\x00").as_deref(), Ok(&[2, 1][..]));
        assert_eq!(running.store.data().lines, [b"somebody was greeted"]);
        running.store.data_mut().allow(&[]);
        assert_eq!(running.send(b"\x00\x03Ada"), Err(Error::NotInManifest.code() as i32));
    }
}
