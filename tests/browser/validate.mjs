// Confirms an address as a user does: opens the link of a mail in a browser and clicks on the button.
// `node validate.mjs '{"browser":…,"links":[…]}'`, every other one with JavaScript, the last one in dark colours; prints what was seen
// as JSON.

import { inspect, launch } from './harness.mjs'

const { browser: executablePath, links } = JSON.parse(process.argv[2])
const browser = await launch(executablePath)
const seen = []
try {
  for (const [number, link] of links.entries()) {
    const visit = { javaScriptEnabled: number % 2 === 1, titles: [], statuses: [], problems: [], requests: [] }
    const context = await browser.newContext({
      javaScriptEnabled: visit.javaScriptEnabled, viewport: { width: 320, height: 600 },
      colorScheme: number + 1 === links.length ? 'dark' : 'light',
    })
    const page = await context.newPage()
    await page.addInitScript(() => document.addEventListener('securitypolicyviolation',
      (event) => console.error(`violates ${event.violatedDirective}: ${event.blockedURI}`)))
    page.on('console', (message) => {
      // Chromium reports every answer that is an error; the statuses are checked instead.
      const isStatus = message.text().startsWith('Failed to load resource: the server responded with a status')
      if (['error', 'warning'].includes(message.type()) && !isStatus) visit.problems.push(message.text())
    })
    page.on('pageerror', (error) => visit.problems.push(String(error)))
    page.on('request', (request) => visit.requests.push(`${request.method()} ${new URL(request.url()).pathname}`))
    const look = async (response) => {
      visit.statuses.push(response.status())
      visit.titles.push(await page.locator('h1').innerText())
      if (visit.javaScriptEnabled) visit.problems.push(...await inspect(page))
    }
    await look(await page.goto(link))
    const button = page.getByRole('button', { name: 'Confirm this address' })
    const [response] = await Promise.all([page.waitForResponse((answer) => answer.request().method() === 'POST'), button.click()])
    await page.waitForLoadState()
    visit.sent = await response.request().allHeaders()
    visit.received = await response.allHeaders()
    await look(response)
    await look(await page.goto(link))
    await look(await page.goto(`${link}x`))
    seen.push(visit)
    await context.close()
  }
} finally {
  await browser.close()
}
console.log(JSON.stringify(seen))
