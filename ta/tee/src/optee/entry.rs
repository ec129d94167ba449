//! The entry points of a trusted app: from GlobalPlatform's parameters to [`TrustedApp`] and back.
//!
//! Every method has one shape: slot 0 a memory reference with the request, slot 1 one for the reply,
//! nothing else. Any of the other 2,400 combinations of parameter types is refused.

use super::{OpteeTee, identity::caller};
use crate::{TrustedApp, stack};
use core::cell::{Cell, UnsafeCell};
use optee_utee::{ParameterAny, ParameterMemref, ParameterMemrefRead, ParameterMemrefWrite, ParametersAny};
use tapvault_proto::Error;
use teei_hypervisor::manifest::Signer;
use zeroize::Zeroize;

/// A session as the entry points keep it; 0 stands for one that was never opened.
#[derive(Default)]
pub struct Session(u32);

struct State<A, const REQUEST: usize, const REPLY: usize> {
    app: A,
    tee: OpteeTee,
    sessions: u32,
    request: [u8; REQUEST],
    reply: [u8; REPLY],
}

/// The one instance of a trusted app, made at the first call, so that nothing in
/// `TA_CreateEntryPoint` can fail; with room for its longest request and its longest reply.
pub struct Instance<A, const REQUEST: usize, const REPLY: usize> {
    state: UnsafeCell<Option<State<A, REQUEST, REPLY>>>,
    entered: Cell<bool>,
    stamp: Option<fn() -> Option<Signer>>,
}

// SAFETY: the trusted app is single-instance, and OP-TEE lets one thread into an instance at a time
// (`busy` in core/kernel/tee_ta_manager.c); `entered` turns a re-entrant call into an error.
unsafe impl<A, const REQUEST: usize, const REPLY: usize> Sync for Instance<A, REQUEST, REPLY> {}

impl<A: TrustedApp<OpteeTee>, const REQUEST: usize, const REPLY: usize> Instance<A, REQUEST, REPLY> {
    const LIMITS: () = {
        // The version byte comes on top.
        assert!(tapvault_proto::service::max_request(A::SERVICE.methods()) < REQUEST);
        assert!(tapvault_proto::service::max_reply(A::SERVICE.methods()) <= REPLY);
    };

    /// An instance not yet made; `stamp` reads what a TVM's image was stamped with.
    #[must_use]
    pub const fn new(stamp: Option<fn() -> Option<Signer>>) -> Self {
        let () = Self::LIMITS;
        Self { state: UnsafeCell::new(None), entered: Cell::new(false), stamp }
    }

    fn enter<R>(
        &self,
        act: impl FnOnce(&mut State<A, REQUEST, REPLY>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        if self.entered.replace(true) {
            return Err(Error::Busy);
        }
        // SAFETY: `entered` was false, so no other reference into the cell exists; see `Sync` above.
        let slot = unsafe { &mut *self.state.get() };
        let state = slot.get_or_insert_with(|| State {
            app: A::default(),
            tee: OpteeTee::new(A::SERVICE, self.stamp),
            sessions: 0,
            request: [0; REQUEST],
            reply: [0; REPLY],
        });
        let result = act(state);
        self.entered.set(false);
        result
    }

    /// `TA_OpenSessionEntryPoint`.
    ///
    /// # Errors
    /// `BadParameters` unless all four parameters are absent; otherwise what admission says.
    pub fn open(&self, params: &ParametersAny<'_>, session: &mut Session) -> optee_utee::Result<()> {
        let (ParameterAny::None, ParameterAny::None, ParameterAny::None, ParameterAny::None) = params else {
            return Err(refusal(Error::BadParameters));
        };
        let opened = self.enter(|state| {
            let number = state.sessions.checked_add(1).ok_or(Error::OutOfMemory)?;
            state.app.open(&mut state.tee, number, caller()?)?;
            state.sessions = number;
            Ok(number)
        });
        *session = Session(opened.map_err(refusal)?);
        Ok(())
    }

    /// `TA_CloseSessionEntryPoint`.
    pub fn close(&self, session: &Session) {
        // A close cannot be refused; a re-entrant one cannot happen (see `Sync`).
        let _ = self.enter(|state| {
            state.app.close(&mut state.tee, session.0);
            Ok(())
        });
    }

    /// `TA_InvokeCommandEntryPoint`.
    ///
    /// # Errors
    /// `BadParameters` for any other shape than request and reply; otherwise the method's own.
    pub fn invoke(
        &self,
        session: &Session,
        method: u32,
        params: &mut ParametersAny<'_>,
    ) -> optee_utee::Result<()> {
        let (
            ParameterAny::MemrefInput(request),
            ParameterAny::MemrefOutput(reply),
            ParameterAny::None,
            ParameterAny::None,
        ) = params
        else {
            return Err(refusal(Error::BadParameters));
        };
        let done = self.enter(|state| {
            let len = request.buffer_len();
            let copy = state.request.get_mut(..len).ok_or(Error::BadParameters)?;
            // The one copy out of memory that the normal world can change under us.
            if request.read_at(0, copy).map_err(|_| Error::BadParameters)? != len {
                return Err(Error::BadParameters);
            }
            let room = state.reply.len().min(reply.buffer_len());
            let out = state.reply.get_mut(..room).ok_or(Error::Internal)?;
            let answer = stack::invoke(&mut state.app, &mut state.tee, session.0, method, copy, out);
            copy.zeroize();
            let sent = answer.and_then(|len| {
                reply.set_output(out.get(..len).ok_or(Error::Internal)?).map_err(|_| Error::ShortBuffer)
            });
            out.zeroize();
            sent
        });
        done.map_err(refusal)
    }
}

fn refusal(error: Error) -> optee_utee::Error {
    optee_utee::Error::from_raw_error(error.code())
}

/// Makes the entry points of a trusted app; a TVM's has a function that reads its stamp.
#[macro_export]
macro_rules! trusted_app {
    ($app:ty) => {
        $crate::trusted_app!($app, None);
    };
    ($app:ty, $stamp:expr) => {
        const METHODS: &[tapvault_proto::service::MethodInfo] =
            <$app as $crate::TrustedApp<$crate::optee::OpteeTee>>::SERVICE.methods();
        $crate::trusted_app!(
            $app,
            $stamp,
            1 + tapvault_proto::service::max_request(METHODS),
            tapvault_proto::service::max_reply(METHODS)
        );
    };
    ($app:ty, $stamp:expr, $request:expr, $reply:expr) => {
        extern crate alloc;

        const REQUEST: usize = $request;
        const REPLY: usize = $reply;

        static INSTANCE: $crate::optee::Instance<$app, REQUEST, REPLY> = $crate::optee::Instance::new($stamp);

        #[optee_utee::ta_create]
        fn create() -> optee_utee::Result<()> {
            Ok(())
        }

        #[optee_utee::ta_destroy]
        fn destroy() {}

        #[optee_utee::ta_open_session]
        fn open_session(
            params: &mut optee_utee::ParametersAny<'_>,
            session: &mut $crate::optee::Session,
        ) -> optee_utee::Result<()> {
            INSTANCE.open(params, session)
        }

        #[optee_utee::ta_close_session]
        fn close_session(session: &mut $crate::optee::Session) {
            INSTANCE.close(session);
        }

        #[optee_utee::ta_invoke_command]
        fn invoke_command(
            session: &mut $crate::optee::Session,
            method: u32,
            params: &mut optee_utee::ParametersAny<'_>,
        ) -> optee_utee::Result<()> {
            INSTANCE.invoke(session, method, params)
        }
    };
}
