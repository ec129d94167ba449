//! Random bytes, time, log, and the secure element's door.

use super::Homes;
use tapvault_proto::{
    Error,
    trustlet::{
        Forwarded,
        clock::{ClockService, NowReply, NowRequest},
        element::{ElementService, TransmitReply, TransmitRequest},
        log::{LogService, WriteReply, WriteRequest},
        random::{DrawReply, DrawRequest, RandomService},
    },
    wire::Bytes,
};
use tapvault_tee::Tee;

impl<T: Tee> RandomService for Homes<'_, T> {
    fn draw(&mut self, call: Forwarded<DrawRequest>) -> Result<DrawReply, Error> {
        let mut bytes = Bytes::new();
        bytes.resize(usize::from(call.request.count), 0).map_err(|_| Error::BadParameters)?;
        self.tee.random(&mut bytes);
        Ok(DrawReply { bytes })
    }
}

impl<T: Tee> ClockService for Homes<'_, T> {
    fn now(&mut self, _: Forwarded<NowRequest>) -> Result<NowReply, Error> {
        Ok(NowReply { milliseconds: self.tee.now().0 })
    }
}

impl<T: Tee> LogService for Homes<'_, T> {
    fn write(&mut self, call: Forwarded<WriteRequest>) -> Result<WriteReply, Error> {
        self.log.write(&self.owner.name, call.request.text);
        Ok(WriteReply {})
    }
}

impl<T: Tee> ElementService for Homes<'_, T> {
    /// Leaves the command as a wish; the answer comes with the frames, and this reply is not used.
    fn transmit(&mut self, call: Forwarded<TransmitRequest>) -> Result<TransmitReply, Error> {
        *self.wish = Some(call.request.command);
        Ok(TransmitReply { response: Bytes::new() })
    }
}
