//! Properties and linking of the trusted app.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tapvault_ta_build::service(tapvault_ta_build::Service::Pin, tapvault_ta_build::Memory::USUAL)
}
