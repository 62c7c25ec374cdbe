// Shows the OpenAPI document of this server. The address is in the page.
const place = document.getElementById('reference')
globalThis.SwaggerUIBundle({
  domNode: place,
  url: place.dataset.url,
  layout: 'BaseLayout',
  presets: [globalThis.SwaggerUIBundle.presets.apis],
  // No request goes to another server.
  validatorUrl: null,
  docExpansion: 'list',
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  tryItOutEnabled: true,
})
