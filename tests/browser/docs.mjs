// Opens the API reference, pastes a token, and tries GET /authy/user.
// `node docs.mjs '{"browser":…,"url":…,"shots":…,"token":…}'` prints what was seen as JSON.

import { start, variants } from './harness.mjs'

const task = { ...JSON.parse(process.argv[2]), script: true }
const { url, token } = task
const { browser, open, look, expect, problems, steps } = await start(task)

// What axe finds in Swagger UI, which is not ours. One that is not found any more is a problem, too: then it leaves this list.
const exceptions = {
  part: '.swagger-ui',
  allowed: ['color-contrast', 'heading-order', 'region', 'scrollable-region-focusable', 'select-name'],
  seen: new Set(),
}

async function visit(options) {
  const page = await open(options)
  await page.goto(`${url}/authy/docs`)
  await page.locator('.opblock').first().waitFor()
  return page
}

try {
  for (const [about, options] of variants) {
    const page = await visit(options)
    await look(page, about, exceptions)
    const [lang, part] = await page.evaluate(() => [document.documentElement.lang, document.getElementById('reference').lang])
    expect(lang === (about.includes('german') ? 'de' : 'en') && part === 'en', `${about} says its languages: ${lang}, ${part}`)
    const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    expect((ground === 'rgb(255, 255, 255)') !== about.includes('dark'), `${about} has its colours: ${ground}`)
    await page.context().close()
  }

  const page = await visit()
  const operations = await page.locator('.opblock').count()
  await look(page, 'reference', exceptions)
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
  await look(page, 'tried', exceptions)
  const username = body.match(/"username":\s*"([^"]+)"/)?.[1]

  // From here to the events, and back.
  await page.getByRole('link', { name: 'Event reference' }).click()
  await look(page, 'events')
  await page.getByRole('contentinfo').getByRole('link', { name: 'API reference' }).click()
  await page.locator('.opblock').first().waitFor()

  for (const rule of exceptions.allowed) {
    if (!exceptions.seen.has(rule)) problems.push(`${rule} is allowed and not found any more`)
  }
  console.log(JSON.stringify({ problems, steps, operations, status, username }))
} finally {
  await browser.close()
}
