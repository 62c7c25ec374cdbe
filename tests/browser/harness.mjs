// What the scripts that look at the pages share: a browser, and what it notes about every page.

import { chromium } from 'playwright-core'
import { readFileSync } from 'node:fs'

// Begins with the browser at `browser`, for the pages at `url`; screenshots go into the folder `shots`.
export async function start({ browser: executablePath, url, shots, script }) {
  const axe = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')
  const flags = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync']
  // As root Chromium has no sandbox to start in.
  if (process.getuid() === 0) flags.push('--no-sandbox')
  const browser = await chromium.launch({ executablePath, headless: true, args: flags })

  const problems = []
  const steps = []
  let shot = 0
  // Whether scripts run on a page.
  const runsScripts = new WeakMap()

  // A browser of its own, with its own cookies.
  async function open(options) {
    const context = await browser.newContext({ javaScriptEnabled: script, locale: 'en-GB', viewport: { width: 1100, height: 800 }, ...options })
    const page = await context.newPage()
    page.setDefaultTimeout(20000)
    runsScripts.set(page, options?.javaScriptEnabled ?? script)
    await page.addInitScript(() => document.addEventListener('securitypolicyviolation',
      (event) => console.error(`violates ${event.violatedDirective}: ${event.blockedURI}`)))
    page.on('console', (message) => {
      // Chromium reports every answer that is an error; the texts of the pages are checked instead.
      const isStatus = message.text().startsWith('Failed to load resource: the server responded with a status')
      if (['error', 'warning'].includes(message.type()) && !isStatus) problems.push(message.text())
    })
    page.on('pageerror', (error) => problems.push(String(error)))
    page.on('request', (request) => {
      if (new URL(request.url()).origin !== url) problems.push(`asks ${request.url()}`)
    })
    return page
  }

  // Notes what the page says, and what is wrong with it: accessibility, width.
  async function look(page, about) {
    await page.waitForLoadState()
    const heading = await page.locator('h1').first().innerText()
    steps.push(`${about}: ${heading}`)
    const number = String(++shot).padStart(2, '0')
    await page.screenshot({ path: `${shots}/${number}-${about.replaceAll(/[^a-z0-9]+/gi, '-')}.png`, fullPage: true })
    if (!runsScripts.get(page)) return
    const { scroll, width } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, width: innerWidth }))
    if (scroll > width) problems.push(`${about}: ${scroll} px on a screen of ${width} px`)
    await page.evaluate(axe)
    const found = await page.evaluate(() => globalThis.axe.run(document,
      { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }))
    for (const { id, nodes } of found.violations) {
      problems.push(`${about}: ${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join('; ')}`)
    }
  }

  function expect(is, what) {
    if (!is) throw new Error(`${what}; after ${steps.at(-1)}`)
  }

  return { browser, open, look, expect, problems, steps }
}

export async function fill(page, fields) {
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(value)
}

export const press = (page, label) => page.getByRole('button', { name: label, exact: true }).click()

export const follow = (page, label) => page.getByRole('link', { name: label, exact: true }).click()

export async function says(page, text) {
  await page.getByText(text, { exact: false }).first().waitFor()
}
