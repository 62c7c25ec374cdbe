// The first hour: from the address that the program prints, by links and forms alone. Nobody types another address.
// `node first_hour.mjs '{"browser":…,"open":…,"mails":…,"shots":…,"name":…,"password":…,"administrator":…,"administrator_password":…}'`
// prints what was seen as JSON.

import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { fill, follow, press, says, start } from './harness.mjs'

const task = JSON.parse(process.argv[2])
const { open: address, mails, name, password, administrator, administrator_password } = task
const { browser, open, look, expect, problems, steps } = await start({ ...task, url: new URL(address).origin, script: true })

// The one link in the newest mail.
async function linkOfMail() {
  const deadline = Date.now() + 15000
  for (;;) {
    const file = readdirSync(mails).filter((file) => file.endsWith('.eml')).sort().at(-1)
    const mail = file && readFileSync(`${mails}/${file}`, 'utf8').replaceAll(/=\r?\n/g, '')
    const link = mail?.match(/^http\S+$/m)?.[0]
    if (link) return link
    expect(Date.now() < deadline, 'a mail has a link')
    await pause(50)
  }
}

try {
  // Somebody signs up, confirms the address, and logs in.
  const page = await open()
  await page.goto(address)
  await follow(page, 'Sign up')
  await fill(page, {
    Username: name, 'Email address': `${name}@example.org`, Password: password, 'The same password again': password,
  })
  await press(page, 'Create the account')
  await says(page, 'not confirmed')
  await look(page, 'signed up')
  await page.goto(await linkOfMail())
  await press(page, 'Confirm this address')
  await follow(page, 'Go to your account')
  await look(page, 'confirmed')
  expect(await page.getByText('not confirmed').count() === 0, 'the address is confirmed')
  await press(page, 'Log out')
  await fill(page, { Username: name, Password: password })
  await press(page, 'Log in')
  await look(page, 'logged in')
  expect(await page.getByRole('link', { name: 'Administration' }).count() === 0, 'there is no console yet')

  // The administrator gives a role.
  const other = await open()
  await other.goto(address)
  await fill(other, { Username: administrator, Password: administrator_password })
  await press(other, 'Log in')
  await look(other, 'administrator')
  await follow(other, 'Administration')
  await look(other, 'console')
  await follow(other, 'Users')
  await other.getByLabel('Name or address begins with').fill(name.slice(0, 5))
  await press(other, 'Search')
  await follow(other, name)
  await other.getByLabel('Another role').selectOption('admin')
  await press(other, 'Give')
  await press(other, 'Give the role admin')
  await says(other, 'The user has the role now.')
  await look(other, 'granted')

  // The user has it at once, without another login.
  await follow(page, 'Account')
  await follow(page, 'Administration')
  await look(page, 'console of the new administrator')
  await follow(page, 'API reference')
  await page.locator('.opblock').first().waitFor()
  await follow(page, 'Account')
  await says(page, 'Your account')
} finally {
  await browser.close()
}
console.log(JSON.stringify({ problems, steps }))
