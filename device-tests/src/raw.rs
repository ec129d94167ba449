//! Calls that the client library would never make: any parameter types, any lengths, no buffers.

use optee_teec_sys as sys;
use std::{mem, ptr};
use tapvault::error::Origin;
use tapvault_proto::service::Service;

/// Every parameter type of TEE Client API 4.3.7, as a client asks for it.
pub const TYPES: [u32; 7] = [
    sys::TEEC_NONE,
    sys::TEEC_VALUE_INPUT,
    sys::TEEC_VALUE_OUTPUT,
    sys::TEEC_VALUE_INOUT,
    sys::TEEC_MEMREF_PARTIAL_INPUT,
    sys::TEEC_MEMREF_PARTIAL_OUTPUT,
    sys::TEEC_MEMREF_PARTIAL_INOUT,
];
/// The one shape of a method.
pub const METHOD_SHAPE: [u32; 4] =
    [sys::TEEC_MEMREF_PARTIAL_INPUT, sys::TEEC_MEMREF_PARTIAL_OUTPUT, sys::TEEC_NONE, sys::TEEC_NONE];
/// The one shape of an open.
pub const OPEN_SHAPE: [u32; 4] = [sys::TEEC_NONE; 4];
/// Shared memory of a session: half for requests, half for replies.
pub const HALF: usize = 8192;

/// Every combination of four parameter types: 2,401.
pub fn combinations() -> impl Iterator<Item = [u32; 4]> {
    (0..TYPES.len().pow(4)).map(|index| {
        let digit = |place: u32| TYPES[index / TYPES.len().pow(place) % TYPES.len()];
        [digit(3), digit(2), digit(1), digit(0)]
    })
}

/// A result code and who gave it.
pub type Answer = Result<usize, (u32, Origin)>;

/// How to log in.
#[derive(Clone, Copy)]
pub enum As {
    /// The effective user.
    User,
    /// A group.
    Group(u32),
}

/// A context with shared memory, and no session yet.
pub struct Client {
    context: Box<sys::TEEC_Context>,
    shared: Box<sys::TEEC_SharedMemory>,
    login: As,
    /// What goes into every value parameter.
    pub value: (u32, u32),
}

impl Client {
    /// Opens the device.
    pub fn new(login: As) -> Self {
        // SAFETY: plain C data, filled in by the calls that follow; the boxes outlive their use.
        let (mut context, mut shared) = unsafe {
            (Box::new(mem::zeroed::<sys::TEEC_Context>()), Box::new(mem::zeroed::<sys::TEEC_SharedMemory>()))
        };
        // SAFETY: see above.
        let opened = unsafe { sys::TEEC_InitializeContext(ptr::null(), &raw mut *context) };
        assert_eq!(opened, 0, "no TEE device");
        shared.size = 2 * HALF;
        shared.flags = sys::TEEC_MEM_INPUT | sys::TEEC_MEM_OUTPUT;
        // SAFETY: see above.
        let shares = unsafe { sys::TEEC_AllocateSharedMemory(&raw mut *context, &raw mut *shared) };
        assert_eq!(shares, 0, "no shared memory");
        Self { context, shared, login, value: (0x4141_4141, u32::MAX) }
    }

    fn operation(&mut self, types: [u32; 4], request: usize, reply: usize) -> sys::TEEC_Operation {
        let parent = &raw mut *self.shared;
        // SAFETY: plain C data.
        let mut operation = unsafe { mem::zeroed::<sys::TEEC_Operation>() };
        operation.paramTypes = sys::TEEC_PARAM_TYPES(types[0], types[1], types[2], types[3]);
        for (slot, kind) in types.iter().enumerate() {
            operation.params[slot] = match *kind {
                sys::TEEC_NONE | sys::TEEC_VALUE_INPUT | sys::TEEC_VALUE_OUTPUT | sys::TEEC_VALUE_INOUT => {
                    sys::TEEC_Parameter { value: sys::TEEC_Value { a: self.value.0, b: self.value.1 } }
                }
                sys::TEEC_MEMREF_TEMP_INPUT | sys::TEEC_MEMREF_TEMP_OUTPUT | sys::TEEC_MEMREF_TEMP_INOUT => {
                    let absent = sys::TEEC_TempMemoryReference { buffer: ptr::null_mut(), size: 0 };
                    sys::TEEC_Parameter { tmpref: absent }
                }
                _ => {
                    let (size, offset) = if slot == 0 { (request, 0) } else { (reply, HALF) };
                    let memref = sys::TEEC_RegisteredMemoryReference { parent, size, offset };
                    sys::TEEC_Parameter { memref }
                }
            };
        }
        operation
    }

    /// Opens a session with these parameter types.
    pub fn open(&mut self, service: [u8; 16], types: [u32; 4]) -> Result<Session<'_>, (u32, Origin)> {
        let mut operation = self.operation(types, 64, 64);
        let uuid = uuid(service);
        let group = match self.login {
            As::User => 0,
            As::Group(id) => id,
        };
        let (method, data) = match self.login {
            As::User => (sys::TEEC_LOGIN_USER, ptr::null()),
            As::Group(_) => (sys::TEEC_LOGIN_GROUP, ptr::from_ref(&group).cast()),
        };
        // SAFETY: plain C data, filled in by the call.
        let mut session = Box::new(unsafe { mem::zeroed::<sys::TEEC_Session>() });
        let mut origin = 0;
        // SAFETY: everything pointed to outlives the call.
        let code = unsafe {
            sys::TEEC_OpenSession(
                &raw mut *self.context,
                &raw mut *session,
                &raw const uuid,
                method,
                data,
                &raw mut operation,
                &raw mut origin,
            )
        };
        if code == 0 { Ok(Session { client: self, session }) } else { Err((code, Origin::from_code(origin))) }
    }

    /// Opens a session with a service the way it wants.
    pub fn open_service(&mut self, service: Service) -> Result<Session<'_>, (u32, Origin)> {
        self.open(service.uuid().0, OPEN_SHAPE)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: made in `new`, released once; sessions borrow the client and are gone.
        unsafe {
            sys::TEEC_ReleaseSharedMemory(&raw mut *self.shared);
            sys::TEEC_FinalizeContext(&raw mut *self.context);
        }
    }
}

/// An open session.
pub struct Session<'a> {
    client: &'a mut Client,
    session: Box<sys::TEEC_Session>,
}

impl Session<'_> {
    /// Invokes with any types; `request` goes into the shared memory, `reply` is the room offered.
    pub fn invoke(&mut self, method: u32, types: [u32; 4], request: &[u8], reply: usize) -> Answer {
        assert!(request.len() <= HALF && reply <= HALF);
        // SAFETY: the memory is two halves long.
        unsafe {
            ptr::copy_nonoverlapping(request.as_ptr(), self.client.shared.buffer.cast(), request.len())
        };
        let mut operation = self.client.operation(types, request.len(), reply);
        let mut origin = 0;
        // SAFETY: everything pointed to outlives the call.
        let code = unsafe {
            sys::TEEC_InvokeCommand(&raw mut *self.session, method, &raw mut operation, &raw mut origin)
        };
        if code != 0 {
            return Err((code, Origin::from_code(origin)));
        }
        // SAFETY: a reference or a value; either way plain integers.
        Ok(unsafe { operation.params[1].memref.size })
    }

    /// The reply of the last call.
    pub fn reply(&self, len: usize) -> Vec<u8> {
        assert!(len <= HALF);
        // SAFETY: the second half of the memory; nobody writes now.
        unsafe { std::slice::from_raw_parts(self.client.shared.buffer.cast::<u8>().add(HALF), len) }.to_vec()
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // SAFETY: opened in `Client::open`, closed once.
        unsafe { sys::TEEC_CloseSession(&raw mut *self.session) };
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

/// Processor time of this thread in nanoseconds, the kernel's work for it included.
///
/// # Panics
/// When the kernel has no such clock.
#[must_use]
pub fn thread_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on Linux, and `time` outlives the call.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(done, 0, "no thread clock");
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Lets this thread run before any ordinary one (`SCHED_FIFO`; its children stay ordinary), or as one of them.
///
/// # Errors
/// The kernel's, without `RLIMIT_RTPRIO` of 1.
pub fn run_first(first: bool) -> std::io::Result<()> {
    // The flag stays: taking it away needs more rights than were needed to set it.
    let policy = if first { libc::SCHED_FIFO } else { libc::SCHED_OTHER } | libc::SCHED_RESET_ON_FORK;
    let parameters = libc::sched_param { sched_priority: first.into() };
    // SAFETY: `parameters` outlives the call.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
