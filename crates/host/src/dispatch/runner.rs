//! How a component of each shape is called: linked, with its handler looked up once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use dayfly_capabilities::{HostState, Linkers};
use dayfly_engine::Code;
use dayfly_model::{HandlerShape, Reuse};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p3::bindings::CommandPre as CommandPre03;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::p3::bindings::{Service, ServicePre};

use super::keep::{Keep, Room};
use super::message::{
    CronHandle, CronPre, MessagingHandle, MessagingPre, Redis3Handle, Redis3Pre, RedisHandle,
    RedisPre,
};
use super::spin_http::{Handle, SpinHttpPre};

/// How a component of one shape is called.
#[derive(Clone)]
pub(super) enum Runner {
    Http02(ProxyPre<HostState>, Option<Arc<Keep<Proxy>>>),
    Http03(ServicePre<HostState>, Option<Arc<Keep<Service>>>),
    SpinHttp(SpinHttpPre, Option<Arc<Keep<Handle>>>),
    SpinRedis(RedisPre, Option<Arc<Keep<RedisHandle>>>),
    SpinRedis3(Redis3Pre, Option<Arc<Keep<Redis3Handle>>>),
    SpinCron(CronPre, Option<Arc<Keep<CronHandle>>>),
    Messaging(MessagingPre, Option<Arc<Keep<MessagingHandle>>>),
    Command02(CommandPre<HostState>),
    Command03(CommandPre03<HostState>),
}

impl Runner {
    /// Links a component, whose instances are reused as the terms say.
    pub(super) fn new(
        linkers: &Linkers,
        code: &Code,
        shape: HandlerShape,
        reuse: (Reuse, &Arc<Room>, &Arc<AtomicBool>),
    ) -> wasmtime::Result<Self> {
        let pre = linkers.link(code)?;
        Ok(match shape {
            HandlerShape::Http02 => Self::Http02(ProxyPre::new(pre)?, Keep::new(code, reuse)),
            HandlerShape::Http03 => Self::Http03(ServicePre::new(pre)?, Keep::new(code, reuse)),
            HandlerShape::SpinHttp => {
                Self::SpinHttp(SpinHttpPre::new(pre)?, Keep::new(code, reuse))
            }
            HandlerShape::SpinRedis => {
                Self::SpinRedis(RedisPre::new(pre, shape)?, Keep::new(code, reuse))
            }
            HandlerShape::SpinRedis3 => {
                Self::SpinRedis3(Redis3Pre::new(pre, shape)?, Keep::new(code, reuse))
            }
            HandlerShape::SpinCron => {
                Self::SpinCron(CronPre::new(pre, shape)?, Keep::new(code, reuse))
            }
            HandlerShape::Messaging => {
                Self::Messaging(MessagingPre::new(pre, shape)?, Keep::new(code, reuse))
            }
            HandlerShape::Command03 => Self::Command03(CommandPre03::new(pre)?),
            HandlerShape::Command02 => Self::Command02(CommandPre::new(pre)?),
        })
    }
}
