//! Style sheets, the script and the icon of the pages.

use axum::{
    extract::Path,
    http::header,
    response::{IntoResponse, Response},
};

use super::ApiError;

pub(crate) async fn asset(Path(file): Path<String>) -> Response {
    let (media_type, bytes): (_, &'static [u8]) = match file.as_str() {
        "app.css" => ("text/css; charset=utf-8", include_bytes!("../../pages/assets/app.css")),
        "login.css" => ("text/css; charset=utf-8", include_bytes!("../../pages/assets/login.css")),
        "login.js" => ("text/javascript; charset=utf-8", include_bytes!("../../pages/assets/login.js")),
        "surface.js" => ("text/javascript; charset=utf-8", include_bytes!("../../pages/assets/surface.js")),
        "icon.svg" => ("image/svg+xml", include_bytes!("../../pages/assets/icon.svg")),
        _ => return ApiError::not_found("There is no such file.").into_response(),
    };
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "max-age=60"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, bytes).into_response()
}
