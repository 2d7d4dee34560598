// Fills in what the page around this one hands over, as a password manager does. Only pages that the operator names may frame
// this one (`frame-ancestors`); alone in its window it listens to nobody.
"use strict";

if (window.parent !== window) {
  window.addEventListener("message", ({ source, data }) => {
    if (source !== window.parent || data?.hookswitch !== "fill") return;
    for (const name of ["email", "password", "code"]) {
      const field = document.querySelector(`input[name="${name}"]`);
      if (field && typeof data[name] === "string") field.value = data[name];
    }
    document.querySelector("form button[type=submit]")?.focus({ preventScroll: true });
  });
}
