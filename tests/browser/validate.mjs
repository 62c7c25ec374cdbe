// Confirms an address as a user does: opens the link of a mail in a browser and clicks on the button.
// `node validate.mjs BROWSER LINK…`, every other one with JavaScript; prints what was seen as JSON.

import { chromium } from 'playwright-core'

const [executablePath, ...links] = process.argv.slice(2)
const flags = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync']
// As root Chromium has no sandbox to start in.
if (process.getuid() === 0) flags.push('--no-sandbox')
const browser = await chromium.launch({ executablePath, headless: true, args: flags })
const seen = []
try {
  for (const [number, link] of links.entries()) {
    const visit = { javaScriptEnabled: number % 2 === 1, titles: [], statuses: [], problems: [], requests: [] }
    const context = await browser.newContext({
      javaScriptEnabled: visit.javaScriptEnabled, viewport: { width: 320, height: 600 },
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
      const { scroll, width } = visit.javaScriptEnabled
        ? await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, width: innerWidth }))
        : { scroll: 0, width: 0 }
      if (scroll > width) visit.problems.push(`${scroll} px on a screen of ${width} px`)
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
