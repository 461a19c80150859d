"use strict";
// validatorUrl: the page asks nobody but this gateway.
SwaggerUIBundle({ url: "/api/openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null });
