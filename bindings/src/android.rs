//! Android's certificate verifier is Java's: it wants the application's context before the first core is opened.
//!
//! UniFFI knows no context, so this one function is called by JNI: from `dev.hookswitch.android.CertificateVerifier`.

use jni::{
    EnvUnowned,
    errors::ThrowRuntimeExAndDefault,
    objects::{JClass, JObject},
};

/// `CertificateVerifier.use(context)`. What goes wrong is thrown as a `RuntimeException`.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_hookswitch_android_CertificateVerifier_use<'local>(
    mut env: EnvUnowned<'local>,
    _class: JClass<'local>,
    context: JObject<'local>,
) {
    env.with_env(|env| rustls_platform_verifier::android::init_with_env(env, context))
        .resolve::<ThrowRuntimeExAndDefault>();
}
