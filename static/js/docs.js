/** Starts Swagger UI on the server's own OpenAPI document; nothing is fetched from elsewhere. */

// @ts-expect-error The bundle defines a global.
globalThis.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "list",
  tryItOutEnabled: true,
  validatorUrl: null,
});
