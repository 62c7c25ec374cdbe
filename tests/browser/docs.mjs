// Opens the API reference, pastes a token, and tries GET /authy/user.
// `node docs.mjs '{"browser":…,"url":…,"shots":…,"token":…}'` prints what was seen as JSON.

import { chromium } from 'playwright-core'

const { browser: executablePath, url, shots, token } = JSON.parse(process.argv[2])
const flags = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync']
// As root Chromium has no sandbox to start in.
if (process.getuid() === 0) flags.push('--no-sandbox')
const browser = await chromium.launch({ executablePath, headless: true, args: flags })
const problems = []
try {
  const page = await browser.newPage({ locale: 'en-GB', viewport: { width: 1100, height: 900 } })
  page.setDefaultTimeout(20000)
  await page.addInitScript(() => document.addEventListener('securitypolicyviolation',
    (event) => console.error(`violates ${event.violatedDirective}: ${event.blockedURI}`)))
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) problems.push(message.text()) })
  page.on('pageerror', (error) => problems.push(String(error)))
  page.on('request', (request) => {
    const own = new URL(request.url()).origin === url || request.url().startsWith('data:')
    if (!own) problems.push(`asks ${request.url()}`)
  })
  await page.goto(`${url}/authy/docs`)
  await page.locator('.opblock').first().waitFor()
  const operations = await page.locator('.opblock').count()
  await page.screenshot({ path: `${shots}/api-reference.png` })
  await page.getByRole('button', { name: 'Authorize', exact: true }).first().click()
  const dialog = page.locator('.modal-ux')
  await dialog.locator('input').last().fill(token)
  await dialog.locator('button.authorize').last().click()
  await dialog.locator('button.btn-done').last().click()
  const block = page.locator('.opblock-get', { has: page.locator('[data-path="/authy/user"]') })
  await block.locator('.opblock-summary-control').click()
  await block.getByRole('button', { name: 'Execute' }).click()
  const answer = block.locator('.live-responses-table .response')
  await answer.first().waitFor()
  const status = (await answer.first().locator('.response-col_status').innerText()).trim().split(/\s/)[0]
  const body = await answer.first().innerText()
  await page.screenshot({ path: `${shots}/api-reference-tried.png` })
  const username = body.match(/"username":\s*"([^"]+)"/)?.[1]
  console.log(JSON.stringify({ problems, operations, status, username }))
} finally {
  await browser.close()
}
