//! The transport over libteec: real OP-TEE.
//!
//! A channel allocates its shared memory when the session opens, so that a call is one entry into the
//! secure world and nothing is registered during a tap. `optee-teec` offers only temporary references,
//! hence `optee-teec-sys`.

use crate::{
    Channel, ClientError, Transport,
    error::Origin,
    transport::{MAX_REPLY, MAX_REQUEST},
};
use optee_teec_sys as sys;
use std::{mem, ptr, rc::Rc};
use tapvault_proto::{Error, id::Uuid};

/// Requests at the front of the shared memory, replies from here on.
const REPLY_AT: usize = MAX_REQUEST.next_multiple_of(64);
const SHARED: usize = REPLY_AT + MAX_REPLY;

/// How the client proves who it is; the kernel vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Nobody in particular.
    Public,
    /// The process's effective user id.
    User,
    /// A group the process is a member of.
    Group(u32),
}

struct Context(Box<sys::TEEC_Context>);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: initialised in `Optee::connect`, finalised once; every session holds an `Rc` to it.
        unsafe { sys::TEEC_FinalizeContext(&raw mut *self.0) };
    }
}

/// A connection to OP-TEE.
pub struct Optee {
    context: Rc<Context>,
    login: Login,
}

impl Optee {
    /// Opens the TEE device.
    ///
    /// # Errors
    /// When there is none, or this process may not open it.
    pub fn connect(login: Login) -> Result<Self, ClientError> {
        // SAFETY: plain C data, all zero is a value of it; libteec fills it in.
        let mut context = Box::new(unsafe { mem::zeroed::<sys::TEEC_Context>() });
        // SAFETY: a null name asks for the default TEE; the context lives in its box until finalised.
        let code = unsafe { sys::TEEC_InitializeContext(ptr::null(), &raw mut *context) };
        if code != sys::TEEC_SUCCESS {
            return Err(ClientError::Call { code, origin: Origin::Api });
        }
        Ok(Self { context: Rc::new(Context(context)), login })
    }
}

/// A session with a trusted app and its shared memory.
pub struct OpteeChannel {
    session: Box<sys::TEEC_Session>,
    shared: Box<sys::TEEC_SharedMemory>,
    /// Outlives both.
    _context: Rc<Context>,
}

impl Transport for Optee {
    type Channel = OpteeChannel;

    fn open(&self, app: Uuid) -> Result<OpteeChannel, ClientError> {
        let context = ptr::from_ref(&*self.context.0).cast_mut();
        let uuid = uuid(app.0);
        let (method, group) = match self.login {
            Login::Public => (sys::TEEC_LOGIN_PUBLIC, None),
            Login::User => (sys::TEEC_LOGIN_USER, None),
            Login::Group(id) => (sys::TEEC_LOGIN_GROUP, Some(id)),
        };
        let data = group.as_ref().map_or(ptr::null(), |id| ptr::from_ref(id).cast());
        // SAFETY: plain C data, all zero is a value of each; libteec fills them in.
        let (mut session, mut shared) = unsafe {
            (Box::new(mem::zeroed::<sys::TEEC_Session>()), Box::new(mem::zeroed::<sys::TEEC_SharedMemory>()))
        };
        let mut origin = 0;
        // SAFETY: context, session, uuid, group and origin outlive the call; a null operation is none.
        let code = unsafe {
            sys::TEEC_OpenSession(
                context,
                &raw mut *session,
                &raw const uuid,
                method,
                data,
                ptr::null_mut(),
                &raw mut origin,
            )
        };
        check(code, origin)?;
        shared.size = SHARED;
        shared.flags = sys::TEEC_MEM_INPUT | sys::TEEC_MEM_OUTPUT;
        // SAFETY: context and memory object live in their boxes until the channel is dropped.
        let code = unsafe { sys::TEEC_AllocateSharedMemory(context, &raw mut *shared) };
        if code != sys::TEEC_SUCCESS {
            // SAFETY: the session was opened above.
            unsafe { sys::TEEC_CloseSession(&raw mut *session) };
            return Err(ClientError::Call { code, origin: Origin::Api });
        }
        Ok(OpteeChannel { session, shared, _context: self.context.clone() })
    }
}

impl Channel for OpteeChannel {
    fn invoke(&mut self, method: u32, request: &[u8]) -> Result<&[u8], ClientError> {
        if request.len() > MAX_REQUEST {
            return Err(ClientError::refused(Error::BadParameters));
        }
        let base = self.shared.buffer.cast::<u8>();
        // SAFETY: the memory is SHARED bytes long and the request fits in front of REPLY_AT; the
        // trusted app does not run now.
        unsafe { ptr::copy_nonoverlapping(request.as_ptr(), base, request.len()) };
        let parent = &raw mut *self.shared;
        // SAFETY: plain C data, all zero is a value of it.
        let mut operation = unsafe { mem::zeroed::<sys::TEEC_Operation>() };
        operation.paramTypes = sys::TEEC_PARAM_TYPES(
            sys::TEEC_MEMREF_PARTIAL_INPUT,
            sys::TEEC_MEMREF_PARTIAL_OUTPUT,
            sys::TEEC_NONE,
            sys::TEEC_NONE,
        );
        let [first, second, ..] = &mut operation.params;
        first.memref = sys::TEEC_RegisteredMemoryReference { parent, size: request.len(), offset: 0 };
        second.memref = sys::TEEC_RegisteredMemoryReference { parent, size: MAX_REPLY, offset: REPLY_AT };
        let mut origin = 0;
        // SAFETY: session, operation and its memory outlive the call.
        let code = unsafe {
            sys::TEEC_InvokeCommand(&raw mut *self.session, method, &raw mut operation, &raw mut origin)
        };
        // A request may have held a PIN.
        // SAFETY: as above; volatile so that the wipe is not left out.
        (0..request.len()).for_each(|at| unsafe { base.add(at).write_volatile(0) });
        check(code, origin)?;
        let [_, second, ..] = &operation.params;
        // SAFETY: the parameter is a memory reference, as set above.
        let len = unsafe { second.memref.size };
        if len > MAX_REPLY {
            return Err(ClientError::Version { theirs: 0 });
        }
        // SAFETY: `len` bytes from REPLY_AT lie inside the memory and do not change until the next call.
        Ok(unsafe { std::slice::from_raw_parts(base.add(REPLY_AT), len) })
    }
}

impl Drop for OpteeChannel {
    fn drop(&mut self) {
        // SAFETY: both were made in `connect` and are released once, memory first.
        unsafe {
            sys::TEEC_ReleaseSharedMemory(&raw mut *self.shared);
            sys::TEEC_CloseSession(&raw mut *self.session);
        }
    }
}

fn check(code: u32, origin: u32) -> Result<(), ClientError> {
    if code == sys::TEEC_SUCCESS {
        Ok(())
    } else {
        Err(ClientError::Call { code, origin: Origin::from_code(origin) })
    }
}

fn uuid(bytes: [u8; 16]) -> sys::TEEC_UUID {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    sys::TEEC_UUID {
        timeLow: u32::from_be_bytes([a, b, c, d]),
        timeMid: u16::from_be_bytes([e, f]),
        timeHiAndVersion: u16::from_be_bytes([g, h]),
        clockSeqAndNode: rest,
    }
}
