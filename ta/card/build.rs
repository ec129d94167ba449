//! Properties and linking of the trusted app.

use tapvault_ta_build::{Memory, Service, service};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Packages with certificates are long and copied while they are opened; sixteen cards and their
    // limited-use keys lie on the heap.
    service(Service::Card, Memory { stack: 128 * 1024, heap: 128 * 1024 })
}
