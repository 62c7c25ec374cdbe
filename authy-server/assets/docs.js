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

// Its dark colours follow a class.
const dark = matchMedia('(prefers-color-scheme: dark)')
const paint = () => document.documentElement.classList.toggle('dark-mode', dark.matches)
dark.addEventListener('change', paint)
paint()
